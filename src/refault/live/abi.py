"""System calls by number, with errors as exceptions. Linux on x86-64 only."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
from enum import IntEnum

from refault.errors import UserError


class Unavailable(UserError):
    """The machine cannot do that; the remedy says what it takes."""


class Nr(IntEnum):
    """Numbers of system calls on x86-64."""

    READ = 0
    WRITE = 1
    OPEN = 2
    CLOSE = 3
    POLL = 7
    MMAP = 9
    MPROTECT = 10
    MUNMAP = 11
    RT_SIGACTION = 13
    RT_SIGPROCMASK = 14
    IOCTL = 16
    PREAD64 = 17
    PWRITE64 = 18
    ACCESS = 21
    PIPE = 22
    MREMAP = 25
    MINCORE = 27
    MADVISE = 28
    NANOSLEEP = 35
    GETPID = 39
    SENDTO = 44
    RECVFROM = 45
    SOCKETPAIR = 53
    FORK = 57
    UNAME = 63
    FTRUNCATE = 77
    FSTATFS = 138
    MLOCK = 149
    PRCTL = 157
    GETTID = 186
    FUTEX = 202
    SCHED_SETAFFINITY = 203
    CLOCK_GETTIME = 228
    EXIT_GROUP = 231
    TGKILL = 234
    VMSPLICE = 278
    PIPE2 = 293
    PERF_EVENT_OPEN = 298
    PROCESS_VM_READV = 310
    PROCESS_VM_WRITEV = 311
    MEMFD_CREATE = 319
    USERFAULTFD = 323
    FSOPEN = 430
    FSCONFIG = 431
    FSMOUNT = 432
    PIDFD_OPEN = 434
    PIDFD_GETFD = 438


_libc = ctypes.CDLL(None, use_errno=True)
_syscall = _libc.syscall
_syscall.restype = ctypes.c_long
_syscall.argtypes = [ctypes.c_long] * 7


def require_machine() -> None:
    """Raise ``Unavailable`` unless this is Linux on x86-64."""
    if (platform.system(), platform.machine()) != ("Linux", "x86_64"):
        here = f"{platform.system()} on {platform.machine()}"
        raise Unavailable(f"this is {here}", "live mode runs on Linux on x86-64")


def syscall(number: int, *arguments: int) -> int:
    """Do a system call; ``OSError`` where it fails."""
    padded = (*arguments, 0, 0, 0, 0, 0, 0)[:6]
    result = int(_syscall(number, *padded))
    if result == -1:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return result


def name_of(code: int) -> str:
    """``EEXIST`` for 17, ``E4711`` where there is no name."""
    return errno.errorcode.get(code, "EHWPOISON" if code == 133 else f"E{code}")


def _ioc(direction: int, kind: int, number: int, size: int) -> int:
    return direction << 30 | size << 16 | kind << 8 | number


def ioctl_read_write(kind: int, number: int, size: int) -> int:
    """``_IOWR(kind, number, size)``."""
    return _ioc(3, kind, number, size)


def ioctl_read(kind: int, number: int, size: int) -> int:
    """``_IOR(kind, number, size)``."""
    return _ioc(2, kind, number, size)


def ioctl_write(kind: int, number: int, size: int) -> int:
    """``_IOW(kind, number, size)``."""
    return _ioc(1, kind, number, size)


def ioctl_none(kind: int, number: int) -> int:
    """``_IO(kind, number)``."""
    return _ioc(0, kind, number, 0)
