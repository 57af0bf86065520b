"""In which state a sleep is that its caller calls interruptible.

In Linux that is TASK_INTERRUPTIBLE, and these two functions say no more than that. It has been
proposed more than once to let the task decide: ``sleep_state`` in ``task_struct``, set by whoever
knows that its caller cannot be restarted. Mutexes have a function of their own because the
proposal was about them.
"""

from __future__ import annotations

from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_WAKEKILL, TaskState
from refault.linux.modelled import kernel_function

INTERRUPTED = TASK_INTERRUPTIBLE | TASK_WAKEKILL
"""States in which some signal ends the sleep have a bit of these."""


@kernel_function("include/linux/sched.h", quiet=True)
def interruptible_sleep() -> TaskState:
    """The state of an interruptible wait that is none for a mutex."""
    return TASK_INTERRUPTIBLE


@kernel_function("include/linux/sched.h", quiet=True)
def interruptible_mutex() -> TaskState:
    """The state of an interruptible wait for a mutex."""
    return TASK_INTERRUPTIBLE
