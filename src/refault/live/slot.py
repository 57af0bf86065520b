"""Where a thread of a puppet finds its command, and where it writes what came of it."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import struct
import time
from collections.abc import Callable
from enum import Enum
from typing import NamedTuple

from .abi import Nr, syscall
from .code import ACCESSES, CALL, CALLED

SLOT = 1024
LOG, LOG_ENTRIES = 256, 8
ROOM, ROOM_SIZE = 768, 256
_FUTEX_WAIT, _FUTEX_WAKE = 0, 1
_M64 = (1 << 64) - 1
_SLICE = 0.25
"""Seconds after which who waits asks whether there is still somebody to wait for."""

PATIENCE = 5.0
"""Seconds that a command may take unless told otherwise."""

LOOKS = 300
"""How often a result is looked for before one sleeps until it is there."""


class TimedOut(Exception):
    """A command has not ended in time; the thread may still be in it."""


class Died(Exception):
    """The process ended before its command did; the message says how."""


class Handled(NamedTuple):
    """What a thread's signal handler has seen: how often it ran, and the last time."""

    times: int
    signal: int
    rip: int
    code: int
    address: int


class Point(Enum):
    """Where a signal handler came in between."""

    AGAIN = "the access or system call begins anew when the handler returns"
    RETURNED = "the system call has returned"
    BETWEEN = "between two commands, or around one"


class Delivery(NamedTuple):
    """One run of a signal handler.

    ``done`` and ``begun`` are numbers of commands: the handler ran within the command ``begun`` if
    ``done`` is less. ``rax`` is what a system call returned, at ``Point.RETURNED``; ``error`` the
    error code of the page fault of a SIGSEGV or SIGBUS; ``time`` cycles of the time-stamp counter.
    """

    signal: int
    code: int
    rip: int
    address: int
    rax: int
    done: int
    begun: int
    time: int
    error: int
    point: Point


class Slot:
    """1024 bytes of shared memory, as ``_puppet.s`` reads and writes them.

    ======  ========================  ======  =====================================
    offset  what                      offset  what
    ======  ========================  ======  =====================================
    0       number of the command     96      address of the gate, 0 for none
    4       number of the last done   104     loops to wait behind the gate
    8       what to do                112     how often a handler ran
    16      seven arguments           116     its signal
    72      result                    144     number of the last begun
    80, 88  time before and after     148     process id of who was forked to use it
    152     looks for a command before the thread sleeps
    256     log of the handler, eight entries of 64 bytes, in a ring
    768     room for what arguments point to
    ======  ========================  ======  =====================================
    """

    def __init__(self, memory: mmap.mmap, base: int, index: int) -> None:
        self._memory = memory
        self.address = base + index * SLOT
        self._offset = index * SLOT
        self._words = memoryview(memory).cast("I")
        self._longs = memoryview(memory).cast("q")
        self._done_at = (self._offset + 4) // 4

    @property
    def done(self) -> int:
        """Number of the last command that ended."""
        return self._words[self._done_at]

    @property
    def begun(self) -> int:
        """Number of the last command that began."""
        return self._words[self._done_at + 35]

    @property
    def busy(self) -> bool:
        """Whether there is a command that has not ended."""
        at = self._done_at
        return self._words[at - 1] != self._words[at]

    def word(self, offset: int) -> int:
        """The 32-bit word at an offset."""
        return self._words[(self._offset + offset) // 4]

    def number(self, offset: int) -> int:
        """The signed 64-bit number at an offset."""
        return self._longs[(self._offset + offset) // 8]

    def put(self, form: str, offset: int, *values: int) -> None:
        """Write numbers at an offset."""
        struct.pack_into(form, self._memory, self._offset + offset, *values)

    def room(self, data: bytes, offset: int = 0) -> int:
        """Put data where arguments may point to; returns its address there."""
        if offset + len(data) > ROOM_SIZE:
            raise ValueError(f"arguments have room for {ROOM_SIZE} bytes")
        at = self._offset + ROOM + offset
        self._memory[at : at + len(data)] = data
        return self.address + ROOM + offset

    def look_at(self, address: int, size: int) -> bytes:
        """What is in that room, by address."""
        at = self._offset + address - self.address
        return bytes(self._memory[at : at + size])

    def found(self, size: int, offset: int = 0) -> bytes:
        """What is there now."""
        at = self._offset + ROOM + offset
        return bytes(self._memory[at : at + size])

    def begin(self, what: int, arguments: tuple[int, ...], gate: int, delay: int) -> int:
        """Write a command down and wake the thread; returns the number of the command."""
        number = (self._words[self._done_at - 1] + 1) & 0xFFFFFFFF
        padded = (*arguments, 0, 0, 0, 0, 0, 0, 0)[:7]
        self.put("=Q7Q", 8, what, *(a & _M64 for a in padded))
        self.put("=QQ", 96, gate, delay)
        self._words[self._done_at - 1] = number
        syscall(Nr.FUTEX, self.address, _FUTEX_WAKE, 1)
        return number

    def look(self, number: int, times: int = LOOKS) -> bool:
        """Look for the end of a command, with the CPU offered to others after each tenth."""
        words, at = self._words, self._done_at
        for _ in range(times // 10):
            for _ in range(10):
                if words[at] == number:
                    return True
            os.sched_yield()
        return words[at] == number

    def sleep(self, seen: int, seconds: float) -> None:
        """Sleep until ``done`` is no longer ``seen``, or for a time."""
        whole = int(seconds)
        limit = struct.pack("=qq", whole, int((seconds - whole) * 1e9))
        room = ctypes.create_string_buffer(limit)
        try:
            syscall(Nr.FUTEX, self.address + 4, _FUTEX_WAIT, seen, ctypes.addressof(room))
        except OSError as error:
            if error.errno not in (errno.EAGAIN, errno.EINTR, errno.ETIMEDOUT):
                raise

    def log(self, code: int) -> tuple[Delivery, ...]:
        """The last eight runs of a handler, the oldest first; ``code`` is where the code is."""
        times = self.word(112)
        return tuple(self._entry(n, code) for n in range(max(0, times - LOG_ENTRIES), times))

    def _entry(self, index: int, code: int) -> Delivery:
        at = self._offset + LOG + index % LOG_ENTRIES * 64
        fields = struct.unpack_from("=Ii3q2I2q", self._memory, at)
        number, why, rip, address, rax, done, begun, when, error = fields
        if rip - code == CALL or rip - code in ACCESSES:
            point = Point.AGAIN
        else:
            point = Point.RETURNED if rip - code == CALLED else Point.BETWEEN
        return Delivery(number, why, rip, address, rax, done, begun, when, error, point)


class Command:
    """One thing that a thread has been told to do, and its result."""

    def __init__(self, slot: Slot, number: int, died: Callable[[], str]) -> None:
        self._slot = slot
        self._died = died
        self.number = number

    @property
    def done(self) -> bool:
        """Whether it has ended."""
        return (self._slot.done - self.number) & 0xFFFFFFFF < 1 << 31

    @property
    def begun(self) -> bool:
        """Whether the thread has begun with it."""
        return self._slot.begun == self.number

    @property
    def result(self) -> int:
        """What ``wait`` would return, of a command that is done."""
        return self._slot.number(72)

    def wait(self, seconds: float = PATIENCE) -> int:
        """Return the result: a byte loaded, or what a system call returned (``-errno``).

        ``TimedOut`` if it takes longer, ``Died`` if the process ended before.
        """
        slot, number = self._slot, self.number
        if slot.look(number):
            return slot.number(72)
        deadline = time.monotonic() + seconds
        while (seen := slot.done) != number:
            left = deadline - time.monotonic()
            if left <= 0:
                raise TimedOut(f"no result after {seconds:g} s")
            slot.sleep(seen, min(left, _SLICE))
            if slot.done != number and (how := self._died()) and slot.done != number:
                raise Died(how)
        return slot.number(72)

    @property
    def cycles(self) -> int:
        """Cycles of the time-stamp counter that it took."""
        return self._slot.number(88) - self._slot.number(80)

    @property
    def times(self) -> tuple[int, int]:
        """The time-stamp counter before and after."""
        return self._slot.number(80), self._slot.number(88)
