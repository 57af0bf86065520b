"""Interrupts at will, on the CPU of a thread while that runs.

A window of a few instructions is won by who is interrupted in it. The kernel's software clock of
performance events is a timer of the CPU that runs the thread, so it interrupts nobody else; what it
would sample goes nowhere.
"""

from __future__ import annotations

import ctypes
import os
import struct

from .abi import Nr, syscall
from .thread import PuppetThread

_SOFTWARE, _CPU_CLOCK = 1, 0
_EXCLUDE_HV = 1 << 6
_ATTR_SIZE = 96
_FLAG_CLOEXEC = 8


class Interrupts:
    """Interrupts of a thread, one each so many nanoseconds, until it is closed."""

    def __init__(self, thread: PuppetThread, nanoseconds: int) -> None:
        attributes = bytearray(_ATTR_SIZE)
        head = (_SOFTWARE, _ATTR_SIZE, _CPU_CLOCK, nanoseconds, 0, 0, _EXCLUDE_HV)
        struct.pack_into("=2I5Q", attributes, 0, *head)
        room = (ctypes.c_char * _ATTR_SIZE).from_buffer(attributes)
        at = ctypes.addressof(room)
        self._fd = syscall(Nr.PERF_EVENT_OPEN, at, thread.tid, -1, -1, _FLAG_CLOEXEC)

    def close(self) -> None:
        """Let there be no more."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
