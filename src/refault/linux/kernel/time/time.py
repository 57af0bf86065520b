"""Times that programs give and are given (``kernel/time/time.c`` and its callers)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.lib.usercopy import _copy_from_user as copy_from_user
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.modelled import NotModelled, kernel_function

TIMESPEC = 16
"""Bytes of ``struct timespec64``."""

NOW = 5
"""What any clock says: time does not pass here."""


@kernel_function("kernel/time/posix-timers.c", label="clock_gettime()")
def clock_gettime(mm: MmStruct, address: int) -> int:
    """Tell the time; 0 or -EFAULT."""
    return -EFAULT if copy_to_user(mm, address, NOW, TIMESPEC) else 0


@kernel_function("kernel/time/hrtimer.c", label="nanosleep()")
def nanosleep(mm: MmStruct, address: int) -> int:
    """Sleep for no time at all; 0 or -EFAULT."""
    asked = copy_from_user(mm, address, TIMESPEC)
    if asked.left:
        return -EFAULT
    if any(run.value for run in asked.runs):
        raise NotModelled("nanosleep() for more than no time")
    return 0
