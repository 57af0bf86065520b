"""What ``userfaultfd(2)`` and its monitor exchange (``include/uapi/linux/userfaultfd.h``)."""

from __future__ import annotations

from enum import Enum, IntFlag
from typing import NamedTuple

PAGE_SIZE = 0x1000

UFFD_API = 0xAA
"""``uffdio_api.api``."""


class UffdFeature(IntFlag):
    """``uffdio_api.features``; ``INITIALIZED`` is the kernel's own mark of a handshake done."""

    NONE = 0
    PAGEFAULT_FLAG_WP = 1 << 0
    EVENT_FORK = 1 << 1
    EVENT_REMAP = 1 << 2
    EVENT_REMOVE = 1 << 3
    MISSING_HUGETLBFS = 1 << 4
    MISSING_SHMEM = 1 << 5
    EVENT_UNMAP = 1 << 6
    SIGBUS = 1 << 7
    THREAD_ID = 1 << 8
    MINOR_HUGETLBFS = 1 << 9
    MINOR_SHMEM = 1 << 10
    EXACT_ADDRESS = 1 << 11
    WP_HUGETLBFS_SHMEM = 1 << 12
    WP_UNPOPULATED = 1 << 13
    POISON = 1 << 14
    WP_ASYNC = 1 << 15
    MOVE = 1 << 16
    INITIALIZED = 1 << 31


API_FEATURES = UffdFeature((1 << 17) - 1)
"""``UFFD_API_FEATURES``: all that a program may ask for."""


class UffdIoctl(IntFlag):
    """``uffdio_register.ioctls``: a bit for each ioctl that can be used on a range."""

    NONE = 0
    WAKE = 1 << 0x02
    COPY = 1 << 0x03
    ZEROPAGE = 1 << 0x04
    MOVE = 1 << 0x05
    WRITEPROTECT = 1 << 0x06
    CONTINUE = 1 << 0x07
    POISON = 1 << 0x08


class RegisterMode(IntFlag):
    """``uffdio_register.mode``."""

    NONE = 0
    MISSING = 1
    WP = 2
    MINOR = 4


class CopyMode(IntFlag):
    """``uffdio_copy.mode``."""

    NONE = 0
    DONTWAKE = 1
    WP = 2


class ZeropageMode(IntFlag):
    """``uffdio_zeropage.mode``."""

    NONE = 0
    DONTWAKE = 1


class WriteprotectMode(IntFlag):
    """``uffdio_writeprotect.mode``: without ``WP`` the range is unprotected."""

    NONE = 0
    WP = 1
    DONTWAKE = 2


class ContinueMode(IntFlag):
    """``uffdio_continue.mode``."""

    NONE = 0
    DONTWAKE = 1
    WP = 2


class PoisonMode(IntFlag):
    """``uffdio_poison.mode``."""

    NONE = 0
    DONTWAKE = 1


class MoveMode(IntFlag):
    """``uffdio_move.mode``."""

    NONE = 0
    DONTWAKE = 1
    ALLOW_SRC_HOLES = 2


class PagefaultFlag(IntFlag):
    """``uffd_msg.arg.pagefault.flags``; neither ``WP`` nor ``MINOR`` is a missing page."""

    NONE = 0
    WRITE = 1
    WP = 2
    MINOR = 4


class UffdEvent(Enum):
    """``uffd_msg.event``."""

    PAGEFAULT = 0x12
    FORK = 0x13
    REMAP = 0x14
    REMOVE = 0x15
    UNMAP = 0x16


class UffdMsg(NamedTuple):
    """``struct uffd_msg``.

    ``address`` is where the fault is, or where a range begins that is removed, unmapped or moved
    away; that range is ``length`` long, and moves to ``to``. ``ptid`` names the faulting task,
    also where the program did not ask for it. ``ufd`` names the userfaultfd of a forked child.
    """

    address: int
    flags: PagefaultFlag
    ptid: str
    event: UffdEvent = UffdEvent.PAGEFAULT
    length: int = 0
    to: int = 0
    ufd: str = ""

    def __repr__(self) -> str:
        if self.event is UffdEvent.PAGEFAULT:
            return f"{self._reason} {self.address:#x} by {self.ptid}"
        if self.event is UffdEvent.FORK:
            return f"fork: {self.ufd}"
        where = f"{self.event.name.lower()} {self.address:#x}"
        where += f"+{self.length:#x}" if self.length != PAGE_SIZE else ""
        return f"{where} to {self.to:#x}" if self.event is UffdEvent.REMAP else where

    @property
    def _reason(self) -> str:
        if self.flags & PagefaultFlag.WP:
            return "wp"
        return "minor" if self.flags & PagefaultFlag.MINOR else "missing"


def event_msg(
    event: UffdEvent, address: int = 0, length: int = 0, *, to: int = 0, ufd: str = ""
) -> UffdMsg:
    """Make the message of an event other than a page fault."""
    return UffdMsg(address, PagefaultFlag.NONE, "", event, length, to, ufd)


class UffdRange(NamedTuple):
    """``struct uffdio_range``, also the key of a wake-up; ``length`` 0 wakes all."""

    start: int
    length: int = PAGE_SIZE

    @property
    def end(self) -> int:
        """The first address behind it."""
        return self.start + self.length

    def covers(self, address: int) -> bool:
        """Tell whether a waiter at ``address`` is meant."""
        return not self.length or self.start <= address < self.end


class UserStruct(Enum):
    """Where a program has put the struct that an ioctl reads and writes its result to."""

    WRITABLE = "writable"
    READ_ONLY = "read-only"
    UNMAPPED = "unmapped"
