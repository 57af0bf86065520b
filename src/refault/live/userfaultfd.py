"""``userfaultfd(2)``: every ioctl, messages as typed values."""

from __future__ import annotations

import fcntl
import os
import select
import struct
from enum import IntEnum, IntFlag
from types import TracebackType
from typing import NamedTuple

from .abi import Nr, Unavailable, ioctl_none, ioctl_read, ioctl_read_write, name_of, syscall

API = 0xAA
UFFD_USER_MODE_ONLY = 1


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


NO_FEATURES = Feature(0)


class Mode(IntFlag):
    """``UFFDIO_REGISTER_MODE_*``."""

    MISSING = 1
    WP = 2
    MINOR = 4


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
            PagefaultFlag(flags & 7),
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


class Userfaultfd:
    """A userfaultfd by its descriptor; a context manager that closes it."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.features = Feature(0)

    @classmethod
    def open(cls, flags: int = os.O_CLOEXEC | os.O_NONBLOCK) -> Userfaultfd:
        """Open one for this process; ``Unavailable`` where that is not allowed."""
        try:
            return cls(syscall(Nr.USERFAULTFD, flags))
        except OSError as error:
            raise unavailable(error) from error

    def __enter__(self) -> Userfaultfd:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the descriptor; another copy of it may still be open."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1

    def api(self, features: Feature = NO_FEATURES) -> Feature:
        """Shake hands; returns what the kernel has, raises ``OSError`` where it refuses."""
        data = bytearray(struct.pack("=3Q", API, features, 0))
        fcntl.ioctl(self.fd, ioctl_read_write(API, 0x3F, 24), data)
        self.features = Feature(struct.unpack("=3Q", data)[1])
        return self.features

    def _do(
        self, number: int, values: tuple[int, ...], field: int = -1, *, read: bool = False
    ) -> Result:
        """Do an ioctl on a struct of 64-bit words; ``field`` is the index of its result."""
        data = bytearray(struct.pack(f"={len(values)}Q", *(v & (1 << 64) - 1 for v in values)))
        make = ioctl_read if read else ioctl_read_write
        failed = ""
        try:
            fcntl.ioctl(self.fd, make(API, number, len(data)), data)
        except OSError as error:
            failed = name_of(error.errno or 0)
        words = struct.unpack(f"={len(values)}q", data)
        return Result(failed, words[field] if field >= 0 else 0)

    def register(self, start: int, length: int, mode: Mode = Mode.MISSING) -> Result:
        """``UFFDIO_REGISTER``; the field has the ioctls that the range supports, a bit each."""
        return self._do(0x00, (start, length, mode, 0), 3)

    def unregister(self, start: int, length: int) -> Result:
        """``UFFDIO_UNREGISTER``."""
        return self._do(0x01, (start, length), read=True)

    def wake(self, start: int, length: int) -> Result:
        """``UFFDIO_WAKE``."""
        return self._do(0x02, (start, length), read=True)

    def copy(
        self, dst: int, src: int, length: int, *, wp: bool = False, wake: bool = True
    ) -> Result:
        """``UFFDIO_COPY``; ``src`` is an address of this process."""
        return self._do(0x03, (dst, src, length, (not wake) | wp << 1, 0), 4)

    def zeropage(self, start: int, length: int, *, wake: bool = True) -> Result:
        """``UFFDIO_ZEROPAGE``."""
        return self._do(0x04, (start, length, not wake, 0), 3)

    def move(
        self, dst: int, src: int, length: int, *, holes: bool = False, wake: bool = True
    ) -> Result:
        """``UFFDIO_MOVE``."""
        return self._do(0x05, (dst, src, length, (not wake) | holes << 1, 0), 4)

    def writeprotect(
        self, start: int, length: int, *, protect: bool = True, wake: bool = True
    ) -> Result:
        """``UFFDIO_WRITEPROTECT``, to protect or to unprotect."""
        return self._do(0x06, (start, length, protect | (not wake) << 1))

    def continue_(self, start: int, length: int, *, wp: bool = False, wake: bool = True) -> Result:
        """``UFFDIO_CONTINUE``."""
        return self._do(0x07, (start, length, (not wake) | wp << 1, 0), 3)

    def poison(self, start: int, length: int, *, wake: bool = True) -> Result:
        """``UFFDIO_POISON``."""
        return self._do(0x08, (start, length, not wake, 0), 3)

    def poll(self, seconds: float = 0.0) -> int:
        """Return the events that ``poll(2)`` gives, 0 if there are none in time."""
        poller = select.poll()
        poller.register(self.fd, select.POLLIN)
        return next((events for _, events in poller.poll(seconds * 1000)), 0)

    def read(self, seconds: float = 1.0) -> Message | None:
        """Return the next message, None where none comes in time; needs ``O_NONBLOCK``."""
        if not self.poll(seconds) & select.POLLIN:
            return None
        try:
            return Message.parse(os.read(self.fd, 32))
        except BlockingIOError:
            return None

    def drain(self) -> list[Message]:
        """Return all messages that are there now."""
        found = []
        while (message := self.read(0.0)) is not None:
            found.append(message)
        return found


def open_device() -> int:
    """Open a userfaultfd of this process by ``/dev/userfaultfd``; returns the descriptor."""
    with open("/dev/userfaultfd", "rb", buffering=0) as device:
        return fcntl.ioctl(device.fileno(), ioctl_none(API, 0x00), os.O_CLOEXEC | os.O_NONBLOCK)


def unavailable(error: OSError) -> Unavailable:
    """Say why there is no userfaultfd, and what helps."""
    if error.errno == 38:
        return Unavailable("this kernel has no userfaultfd", "boot one with CONFIG_USERFAULTFD=y")
    return Unavailable(
        f"userfaultfd: {error.strerror}",
        "be root, or set vm.unprivileged_userfaultfd to 1",
    )
