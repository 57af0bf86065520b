"""What ``userfaultfd(2)`` says and is told: features, modes, messages, results.

Read-write protection (RWP) came with 7.3: pages that may not even be read until their protection
is taken away, told of by messages or, with ``RWP_ASYNC``, lifted by the kernel itself. Numbers as
in include/uapi/linux/userfaultfd.h.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag
from typing import NamedTuple


class Feature(IntFlag):
    """``UFFD_FEATURE_*``."""

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
    RWP = 1 << 17
    RWP_ASYNC = 1 << 18


NO_FEATURES = Feature(0)


class Mode(IntFlag):
    """``UFFDIO_REGISTER_MODE_*``."""

    MISSING = 1
    WP = 2
    MINOR = 4
    RWP = 8


class Event(IntEnum):
    """``UFFD_EVENT_*``."""

    PAGEFAULT = 0x12
    FORK = 0x13
    REMAP = 0x14
    REMOVE = 0x15
    UNMAP = 0x16


class PagefaultFlag(IntFlag):
    """``UFFD_PAGEFAULT_FLAG_*``."""

    WRITE = 1
    WP = 2
    MINOR = 4
    RWP = 8


class Message(NamedTuple):
    """``struct uffd_msg``: of a page fault ``address`` and ``flags``, of an event its numbers.

    ``numbers`` are the three words behind the header as they are: of FORK the new descriptor, of
    REMAP from, to and length, of REMOVE and UNMAP start and end.
    """

    event: Event
    flags: PagefaultFlag
    address: int
    thread: int
    numbers: tuple[int, int, int]

    @classmethod
    def parse(cls, data: bytes) -> Message:
        """Return the message in 32 bytes."""
        event, *numbers = struct.unpack("=B7x3Q", data)
        if event != Event.PAGEFAULT:
            return cls(Event(event), PagefaultFlag(0), 0, 0, (numbers[0], numbers[1], numbers[2]))
        flags, address, thread = numbers
        return cls(
            Event.PAGEFAULT,
            PagefaultFlag(flags & 15),
            address,
            thread & 0xFFFFFFFF,
            (flags, address, thread),
        )


class Result(NamedTuple):
    """What an ioctl gave: ``errno`` by name, empty if it succeeded, and its result field."""

    errno: str
    field: int

    def __str__(self) -> str:
        return f"{self.errno or 'ok'} {self.field}"
