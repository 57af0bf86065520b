"""Sockets between processes (``net/unix/af_unix.c``), as far as they are copies of user memory.

A message has one buffer, which is filled or emptied in one copy: what falls short of it is undone.
Sending copies without a lock, receiving with the socket's ``iolock``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from refault.linux.lib.iov_iter import _copy_from_iter, _copy_to_iter
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program


class UnixSock:
    """``struct unix_sock``: ``iolock`` is of those who read."""

    def __init__(self, program: Program, name: str = "socket") -> None:
        self.iolock = Mutex(program, f"{name}.iolock")


@kernel_function("net/unix/af_unix.c", label="send(socket)")
def unix_stream_sendmsg(mm: MmStruct, address: int, length: int) -> int:
    """Send; ``length``, or -EFAULT."""
    return length if _copy_from_iter(mm, address, length) == length else -EFAULT


@kernel_function("net/unix/af_unix.c", label="recv(socket)")
def unix_stream_read_generic(
    sock: UnixSock, mm: MmStruct, address: int, value: int, length: int
) -> int:
    """Receive what somebody has sent; ``length``, or -EFAULT: then it can be received again."""
    mutex_lock(sock.iolock)
    done = _copy_to_iter(mm, address, value, length)
    mutex_unlock(sock.iolock)
    return length if done == length else -EFAULT
