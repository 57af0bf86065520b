"""Times that programs give and are given (``kernel/time/time.c`` and its callers)."""

from __future__ import annotations

from refault.explore import choose
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_RUNNING
from refault.linux.include.uapi.errno import EFAULT, ERESTART_RESTARTBLOCK
from refault.linux.kernel.sched.core import (
    __set_current_state,
    schedule_timeout,
    set_current_state,
)
from refault.linux.lib.usercopy import _copy_from_user as copy_from_user
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.modelled import kernel_function

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
    """Sleep for as long as is asked; 0, -EFAULT, or to be restarted where a signal came first."""
    if copy_from_user(mm, address, TIMESPEC).left:
        return -EFAULT
    return do_nanosleep()


@kernel_function("kernel/time/hrtimer.c")
def do_nanosleep() -> int:
    """Sleep; any time may be up at any moment.

    Also a sleep for no time at all begins with a timer, which need not be heard of before a signal
    that is pending already.
    """
    set_current_state(TASK_INTERRUPTIBLE)
    woken = schedule_timeout()
    __set_current_state(TASK_RUNNING)
    if not woken or choose("the signal is first", "the timer is first") == "the timer is first":
        return 0
    return -ERESTART_RESTARTBLOCK
