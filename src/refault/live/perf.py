"""Page faults as the kernel's own software event counts and samples them.

The event is counted once for each exception on a user address, before its mapping is looked at, so
instructions that are tried again count again (``perf_sw_event`` in arch/x86/mm/fault.c). What GUP
faults in for somebody is no exception and does not count.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
from pathlib import Path
from types import TracebackType
from typing import NamedTuple

from .abi import Nr, Unavailable, ioctl_none, syscall
from .thread import PuppetThread

PAGE = 4096
_SOFTWARE, _PAGE_FAULTS = 1, 2
_IP, _TID, _TIME, _ADDR = 1, 2, 4, 8
_DISABLED, _EXCLUDE_KERNEL, _EXCLUDE_HV, _USE_CLOCKID = 1 << 0, 1 << 5, 1 << 6, 1 << 25
_CLOCK_MONOTONIC = 1
_ATTR_SIZE = 96
_FLAG_CLOEXEC = 8
_ENABLE, _DISABLE, _RESET = (ioctl_none(0x24, n) for n in (0, 1, 3))
_HEAD, _DATA = 1024, PAGE
_LOST, _SAMPLE = 2, 9
_MODE_MASK, _KERNEL, _USER = 7, 1, 2
_PARANOID = Path("/proc/sys/kernel/perf_event_paranoid")


class PageFault(NamedTuple):
    """One page fault: where the CPU was, what it wanted, who, when (``CLOCK_MONOTONIC``, ns)."""

    ip: int
    address: int
    pid: int
    tid: int
    time: int
    user: bool


class _Event:
    """A software event on one thread; a context manager that counts inside."""

    def __init__(self, thread: PuppetThread, period: int, *, kernel: bool) -> None:
        flags = _DISABLED | _EXCLUDE_HV | _USE_CLOCKID | (0 if kernel else _EXCLUDE_KERNEL)
        attributes = bytearray(_ATTR_SIZE)
        wanted = (_IP | _TID | _TIME | _ADDR) if period else 0
        struct.pack_into(
            "=2I5Q", attributes, 0, _SOFTWARE, _ATTR_SIZE, _PAGE_FAULTS, period, wanted, 0, flags
        )
        struct.pack_into("=i", attributes, 92, _CLOCK_MONOTONIC)
        room = (ctypes.c_char * _ATTR_SIZE).from_buffer(attributes)
        try:
            self.fd = syscall(
                Nr.PERF_EVENT_OPEN, ctypes.addressof(room), thread.tid, -1, -1, _FLAG_CLOEXEC
            )
        except OSError as error:
            raise _unavailable(error, kernel) from error

    def __enter__(self) -> None:
        self.resume()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def resume(self) -> None:
        """Count from now on."""
        fcntl.ioctl(self.fd, _ENABLE, 0)

    def pause(self) -> None:
        """Count no more."""
        fcntl.ioctl(self.fd, _DISABLE, 0)

    @property
    def count(self) -> int:
        """Page faults since the beginning or the last reset."""
        return int(struct.unpack("=Q", os.read(self.fd, 8))[0])

    def reset(self) -> None:
        """Begin at zero."""
        fcntl.ioctl(self.fd, _RESET, 0)

    def close(self) -> None:
        """Close the event."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


class FaultCounter(_Event):
    """How many page faults a thread takes, inside ``with`` or from ``resume`` on.

    With ``kernel=False`` those count that it takes in user mode. ``Unavailable`` where the kernel
    does not allow it.
    """

    def __init__(self, thread: PuppetThread, *, kernel: bool = True) -> None:
        super().__init__(thread, 0, kernel=kernel)

    def __enter__(self) -> FaultCounter:  # type: ignore[override]
        self.resume()
        return self


class FaultSampler(_Event):
    """Every page fault of a thread, one by one; ``pages`` (a power of two) hold what is not read.

    ``lost`` is how many found no place.
    """

    def __init__(self, thread: PuppetThread, *, kernel: bool = True, pages: int = 8) -> None:
        super().__init__(thread, 1, kernel=kernel)
        self.lost = 0
        self._size = pages * PAGE
        try:
            self._ring = mmap.mmap(self.fd, self._size + PAGE)
        except (OSError, ValueError) as error:
            super().close()
            raise Unavailable(
                f"no room for samples: {error}", "raise kernel.perf_event_mlock_kb"
            ) from error

    def __enter__(self) -> FaultSampler:  # type: ignore[override]
        self.resume()
        return self

    def close(self) -> None:
        """Close the event and its buffer."""
        if self.fd >= 0:
            self._ring.close()
        super().close()

    def read(self) -> list[PageFault]:
        """Take out what was sampled, the oldest first."""
        head, tail = struct.unpack_from("=2Q", self._ring, _HEAD)
        found = []
        while tail < head:
            kind, misc, size = struct.unpack("=IHH", self._bytes(tail, 8))
            body = self._bytes(tail + 8, size - 8)
            if kind == _SAMPLE:
                ip, pid, tid, when, address = struct.unpack_from("=Q2I2Q", body)
                user = misc & _MODE_MASK == _USER
                found.append(PageFault(ip, address, pid, tid, when, user))
            elif kind == _LOST:
                self.lost += struct.unpack_from("=2Q", body)[1]
            tail += size
        struct.pack_into("=Q", self._ring, _HEAD + 8, tail)
        return found

    def _bytes(self, at: int, size: int) -> bytes:
        """Bytes of the ring, which may begin anew in the middle of a record."""
        at %= self._size
        first = self._ring[_DATA + at : _DATA + min(at + size, self._size)]
        return first + self._ring[_DATA : _DATA + size - len(first)]


def _unavailable(error: OSError, kernel: bool) -> Unavailable:
    """Say why there is no event, and what helps."""
    if error.errno == errno.ENOSYS or not _PARANOID.exists():
        return Unavailable("this kernel has no perf events", "boot one with CONFIG_PERF_EVENTS=y")
    level = _PARANOID.read_text().strip()
    allowed = 1 if kernel else 2
    return Unavailable(
        f"perf_event_open: {error.strerror}; kernel.perf_event_paranoid is {level}",
        f"be root or have CAP_PERFMON, or set kernel.perf_event_paranoid to {allowed}",
    )
