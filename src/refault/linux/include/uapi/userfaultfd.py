"""What ``userfaultfd(2)`` and its monitor exchange (``include/uapi/linux/userfaultfd.h``)."""

from __future__ import annotations

from enum import IntFlag
from typing import NamedTuple

PAGE_SIZE = 0x1000


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


class PagefaultFlag(IntFlag):
    """``uffd_msg.arg.pagefault.flags``; neither ``WP`` nor ``MINOR`` is a missing page."""

    NONE = 0
    WRITE = 1
    WP = 2
    MINOR = 4


class UffdMsg(NamedTuple):
    """``struct uffd_msg`` of a page fault: the only event that the model raises."""

    address: int
    flags: PagefaultFlag
    ptid: str

    def __repr__(self) -> str:
        kind = "wp" if self.flags & PagefaultFlag.WP else "missing"
        return f"{kind} {self.address:#x} by {self.ptid}"


class UffdRange(NamedTuple):
    """``struct uffdio_range``, also the key of a wake-up; ``length`` 0 wakes all."""

    start: int
    length: int = PAGE_SIZE

    def covers(self, address: int) -> bool:
        """Tell whether a waiter at ``address`` is meant."""
        return not self.length or self.start <= address < self.start + self.length
