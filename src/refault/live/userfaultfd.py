"""``userfaultfd(2)``: every ioctl, messages as typed values."""

from __future__ import annotations

import errno
import fcntl
import os
import select
import struct
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING

from .abi import (
    Nr,
    Unavailable,
    ioctl_none,
    ioctl_read,
    ioctl_read_write,
    ioctl_write,
    name_of,
    syscall,
)
from .uffd_types import NO_FEATURES, Event, Feature, Message, Mode, PagefaultFlag, Result

if TYPE_CHECKING:
    from .puppet import Puppet

__all__ = [
    "NO_FEATURES",
    "UFFD_USER_MODE_ONLY",
    "Event",
    "Feature",
    "Message",
    "Mode",
    "PagefaultFlag",
    "Result",
    "Userfaultfd",
    "open_device",
]

API = 0xAA
UFFD_USER_MODE_ONLY = 1
FLAGS = os.O_CLOEXEC | os.O_NONBLOCK


class Userfaultfd:
    """A userfaultfd by its descriptor; a context manager that closes it."""

    def __init__(self, fd: int, owner: Puppet | None = None) -> None:
        self.fd = fd
        self.features = Feature(0)
        self._owner = owner

    @classmethod
    def open(cls, flags: int = FLAGS) -> Userfaultfd:
        """Open one for this process; ``Unavailable`` where that is not allowed."""
        try:
            return cls(syscall(Nr.USERFAULTFD, flags))
        except OSError as error:
            raise unavailable(error) from error

    @classmethod
    def of(cls, puppet: Puppet, features: Feature = NO_FEATURES, flags: int = FLAGS) -> Userfaultfd:
        """Open one for a puppet's memory, after the handshake; the only descriptor is ours.

        ``Unavailable`` where this is not allowed, or the kernel lacks a feature.
        """
        main = puppet.thread()
        try:
            there = main.call(Nr.USERFAULTFD, flags)
        except OSError as error:
            raise unavailable(error) from error
        made = cls(puppet.take(there), puppet)
        main.call(Nr.CLOSE, there)
        try:
            made.api(features)
        except OSError as error:
            made.close()
            raise Unavailable(
                f"userfaultfd with {features!r}: {error.strerror}",
                "boot a kernel that has these features; EVENT_FORK takes CAP_SYS_PTRACE, too",
            ) from error
        return made

    def adopt(self, message: Message) -> Userfaultfd:
        """Return the userfaultfd of a child, from the message that its parent forked."""
        if message.event is not Event.FORK:
            raise ValueError(f"{message.event.name} brings no descriptor")
        child = Userfaultfd(message.numbers[0])
        child.features = self.features
        return child

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
            if self._owner is None:
                os.close(self.fd)
            else:
                self._owner.release(self.fd)
            self.fd = -1

    def api(self, features: Feature = NO_FEATURES) -> Feature:
        """Shake hands; returns what the kernel has, raises ``OSError`` where it refuses."""
        data = bytearray(struct.pack("=3Q", API, features, 0))
        fcntl.ioctl(self.fd, ioctl_read_write(API, 0x3F, 24), data)
        self.features = Feature(struct.unpack("=3Q", data)[1])
        return self.features

    def _do(
        self,
        number: int,
        values: tuple[int, ...],
        field: int = -1,
        make: Callable[[int, int, int], int] = ioctl_read_write,
    ) -> Result:
        """Do an ioctl on a struct of 64-bit words; ``field`` is the index of its result."""
        data = bytearray(struct.pack(f"={len(values)}Q", *(v & (1 << 64) - 1 for v in values)))
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
        return self._do(0x01, (start, length), make=ioctl_read)

    def wake(self, start: int, length: int) -> Result:
        """``UFFDIO_WAKE``."""
        return self._do(0x02, (start, length), make=ioctl_read)

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

    def rwprotect(
        self, start: int, length: int, *, protect: bool = True, wake: bool = True
    ) -> Result:
        """``UFFDIO_RWPROTECT``, to protect or to unprotect; since 7.3."""
        return self._do(0x09, (start, length, protect | (not wake) << 1))

    def set_mode(self, enable: Feature = NO_FEATURES, disable: Feature = NO_FEATURES) -> Result:
        """``UFFDIO_SET_MODE``: features on and off, of which only ``RWP_ASYNC`` may; since 7.3."""
        return self._do(0x0A, (enable, disable), make=ioctl_write)

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
    try:
        with open("/dev/userfaultfd", "rb", buffering=0) as device:
            return fcntl.ioctl(device.fileno(), ioctl_none(API, 0x00), FLAGS)
    except OSError as error:
        raise Unavailable(
            f"/dev/userfaultfd: {error.strerror}",
            "this needs Linux 6.1 and the right to open it; userfaultfd(2) may do without",
        ) from error


def unavailable(error: OSError) -> Unavailable:
    """Say why there is no userfaultfd, and what helps."""
    if error.errno == errno.ENOSYS:
        return Unavailable("this kernel has no userfaultfd", "boot one with CONFIG_USERFAULTFD=y")
    if error.errno == errno.EINVAL:
        return Unavailable(
            "this kernel does not know the flags of userfaultfd(2)",
            "UFFD_USER_MODE_ONLY needs Linux 5.11",
        )
    return Unavailable(
        f"userfaultfd: {error.strerror}",
        "be root, or set vm.unprivileged_userfaultfd to 1",
    )
