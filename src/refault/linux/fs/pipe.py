"""Reading and writing a pipe (``fs/pipe.c``), as far as they are copies of user memory.

The pipe has room for whatever is written, and holds whatever is read; what that is does not matter.
Both copy with the mutex of the pipe held, so whoever waits for a page there lets all others wait.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_unlock
from refault.linux.kernel.sched.wait import WaitQueueHead, __wake_up_sync_key
from refault.linux.lib.iov_iter import copy_page_from_iter, copy_page_to_iter
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Program


class Pipe:
    """``struct pipe_inode_info``: its mutex, and who waits for something to read."""

    def __init__(self, program: Program, name: str = "pipe") -> None:
        self.mutex = Mutex(program, f"{name}.mutex")
        self.rd_wait = WaitQueueHead(program, f"{name}.rd_wait")


@kernel_function("fs/pipe.c", label="write(pipe)")
def pipe_write(pipe: Pipe, mm: MmStruct, address: int, length: int) -> int:
    """Copy from the user, and wake who reads even if nothing came; ``length``, or -EFAULT.

    A page that was copied in part is dropped, and the loop begins anew with the next write.
    """
    mutex_lock(pipe.mutex)
    done = copy_page_from_iter(mm, address, length)
    mutex_unlock(pipe.mutex)
    __wake_up_sync_key(pipe.rd_wait)
    return length if done == length else -EFAULT


@kernel_function("fs/pipe.c", label="read(pipe)")
def anon_pipe_read(pipe: Pipe, mm: MmStruct, address: int, value: int, length: int) -> int:
    """Copy to the user; ``length``, or -EFAULT: what was copied in part stays in the pipe."""
    mutex_lock(pipe.mutex)
    done = copy_page_to_iter(mm, address, value, length)
    mutex_unlock(pipe.mutex)
    return length if done == length else -EFAULT
