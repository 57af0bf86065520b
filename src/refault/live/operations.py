"""What a thread can be told to do with memory: system calls that read it, write it or change it.

Each function begins one and returns its ``Command``; ``address`` and ``size`` are of the thread's
own memory. Those at the top make what the others need, and wait.
"""

from __future__ import annotations

import errno
import mmap
import os
import struct
import tempfile
from enum import IntEnum
from typing import NamedTuple

from .abi import Nr, Unavailable
from .puppet import PAGE
from .slot import Command
from .thread import PuppetThread

_AF_UNIX, _SOCK_STREAM = 1, 1
_AT_FDCWD = -100
_OPENAT = 257
_PRIVATE = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS


class Ends(NamedTuple):
    """Two ends of a pipe or of a pair of sockets, by descriptor."""

    reader: int
    writer: int


class Advice(IntEnum):
    """``MADV_*``."""

    WILLNEED = 3
    DONTNEED = 4
    FREE = 8
    REMOVE = 9
    DONTFORK = 10
    MERGEABLE = 12
    HUGEPAGE = 14
    NOHUGEPAGE = 15
    WIPEONFORK = 18
    COLD = 20
    PAGEOUT = 21
    POPULATE_READ = 22
    POPULATE_WRITE = 23
    COLLAPSE = 25
    GUARD_INSTALL = 102
    GUARD_REMOVE = 103


def pipe(thread: PuppetThread, flags: int = os.O_CLOEXEC) -> Ends:
    """Make a pipe."""
    room = thread.slot.room(bytes(8))
    thread.call(Nr.PIPE2, room, flags)
    return Ends(*struct.unpack("=2i", thread.slot.look_at(room, 8)))


def socketpair(thread: PuppetThread) -> Ends:
    """Make a pair of connected sockets."""
    room = thread.slot.room(bytes(8))
    thread.call(Nr.SOCKETPAIR, _AF_UNIX, _SOCK_STREAM, 0, room)
    return Ends(*struct.unpack("=2i", thread.slot.look_at(room, 8)))


def memfd(thread: PuppetThread, size: int, flags: int = 1) -> int:
    """Make a file without a name in memory (tmpfs, or hugetlbfs with ``MFD_HUGETLB``)."""
    fd = thread.call(Nr.MEMFD_CREATE, thread.slot.room(b"refault\0"), flags)
    thread.call(Nr.FTRUNCATE, fd, size)
    return fd


def file(
    thread: PuppetThread, size: int, *, direct: bool = False, folder: str | None = None
) -> int:
    """Make a file without a name on disk, by default where temporary files are.

    With ``direct`` reads and writes go past the page cache, to and from memory that is pinned by
    GUP. It is full of zeroes that have been written, for a hole is read by a plain copy.
    ``Unavailable`` where the file system has no such files.
    """
    path = os.fsencode(folder or tempfile.gettempdir()) + b"\0"
    flags = os.O_RDWR | os.O_TMPFILE | os.O_CLOEXEC | (os.O_DIRECT if direct else 0)
    try:
        fd = thread.call(_OPENAT, _AT_FDCWD, thread.slot.room(path), flags, 0o600)
    except OSError as error:
        kind = "files that are read directly" if direct else "files without a name"
        raise Unavailable(
            f"no {kind} in {os.fsdecode(path[:-1])}: {error.strerror}",
            "set TMPDIR to a folder on ext4, xfs or btrfs",
        ) from error
    zeroes = thread.call(Nr.MMAP, 0, PAGE, mmap.PROT_READ, _PRIVATE, -1, 0)
    for offset in range(0, size, PAGE):
        thread.call(Nr.PWRITE64, fd, zeroes, PAGE, offset)
    thread.call(Nr.MUNMAP, zeroes, PAGE)
    thread.call(Nr.FTRUNCATE, fd, size)
    return fd


def read(thread: PuppetThread, fd: int, address: int, size: int) -> Command:
    """``read(2)``: the kernel stores to memory."""
    return thread.syscall(Nr.READ, fd, address, size)


def write(thread: PuppetThread, fd: int, address: int, size: int) -> Command:
    """``write(2)``: the kernel loads from memory."""
    return thread.syscall(Nr.WRITE, fd, address, size)


def send(thread: PuppetThread, fd: int, address: int, size: int) -> Command:
    """``send(2)``."""
    return thread.syscall(Nr.SENDTO, fd, address, size, 0, 0, 0)


def receive(thread: PuppetThread, fd: int, address: int, size: int) -> Command:
    """``recv(2)``."""
    return thread.syscall(Nr.RECVFROM, fd, address, size, 0, 0, 0)


def vm_read(thread: PuppetThread, pid: int, there: int, address: int, size: int) -> Command:
    """``process_vm_readv(2)``: from ``there`` in another process (GUP) to here (a user copy)."""
    return thread.syscall(Nr.PROCESS_VM_READV, *_vectors(thread, pid, there, address, size))


def vm_write(thread: PuppetThread, pid: int, there: int, address: int, size: int) -> Command:
    """``process_vm_writev(2)``: from here to ``there`` in another process."""
    return thread.syscall(Nr.PROCESS_VM_WRITEV, *_vectors(thread, pid, there, address, size))


def _vectors(
    thread: PuppetThread, pid: int, there: int, address: int, size: int
) -> tuple[int, ...]:
    room = thread.slot.room(struct.pack("=4Q", address, size, there, size))
    return pid, room, 1, room + 16, 1, 0


def vmsplice(thread: PuppetThread, fd: int, address: int, size: int) -> Command:
    """``vmsplice(2)``: the pages themselves go into a pipe, pinned by GUP."""
    room = thread.slot.room(struct.pack("=2Q", address, size))
    return thread.syscall(Nr.VMSPLICE, fd, room, 1, 0)


def futex_wait(thread: PuppetThread, address: int, value: int, *, shared: bool = True) -> Command:
    """``FUTEX_WAIT``: sleep if the word has this value; a shared one pins its page by GUP."""
    return thread.syscall(Nr.FUTEX, address, 0 if shared else 128, value, 0)


def futex_wake(thread: PuppetThread, address: int, *, shared: bool = True) -> Command:
    """``FUTEX_WAKE`` of all who wait there."""
    return thread.syscall(Nr.FUTEX, address, 1 if shared else 129, 0x7FFFFFFF)


def advise(thread: PuppetThread, address: int, size: int, advice: Advice) -> Command:
    """``madvise(2)``."""
    return thread.syscall(Nr.MADVISE, address, size, advice)


def mlock(thread: PuppetThread, address: int, size: int) -> Command:
    """``mlock(2)``."""
    return thread.syscall(Nr.MLOCK, address, size)


def mprotect(thread: PuppetThread, address: int, size: int, prot: int) -> Command:
    """``mprotect(2)``."""
    return thread.syscall(Nr.MPROTECT, address, size, prot)


def munmap(thread: PuppetThread, address: int, size: int) -> Command:
    """``munmap(2)``."""
    return thread.syscall(Nr.MUNMAP, address, size)


def mremap(thread: PuppetThread, address: int, size: int, to: int, flags: int = 3) -> Command:
    """``mremap(2)`` to another place, by default ``MREMAP_MAYMOVE | MREMAP_FIXED``."""
    return thread.syscall(Nr.MREMAP, address, size, size, flags, to)


def access(thread: PuppetThread, path: int) -> Command:
    """``access(2)``: the kernel loads a path from memory."""
    return thread.syscall(Nr.ACCESS, path, os.F_OK)


def resident(thread: PuppetThread, address: int, pages: int) -> tuple[bool, ...]:
    """``mincore(2)``: which pages are in memory."""
    room = thread.slot.room(bytes(pages))
    result = thread.syscall(Nr.MINCORE, address, pages * PAGE, room).wait()
    if result == -errno.ENOMEM:
        raise ValueError(f"not all of {address:#x} is mapped")
    return tuple(bool(byte & 1) for byte in thread.slot.look_at(room, pages))
