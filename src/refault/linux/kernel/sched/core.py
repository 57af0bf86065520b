"""Sleeping and waking (``kernel/sched/core.c``, ``include/linux/sched.h``).

The whole protocol rests on one order. A waiter writes its state, *then* tests its condition, and
only then calls ``schedule()``; a waker makes the condition true, *then* looks at the state. Either
the waiter sees the condition or the waker sees the state, so no wake-up is lost.

``schedule()`` and ``try_to_wake_up()`` are one step each: both do their work under a lock of the
scheduler (the run queue's, ``p->pi_lock``) that orders them fully. ``schedule()`` looks for a
signal once, before it takes the task off the CPU; after that only a wake-up ends the sleep, and
whoever sends a signal makes one, after it has set the flag.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import atomic
from refault.linux.include.linux.sched import TASK_RUNNING, TaskState
from refault.linux.include.linux.sched.signal import signal_pending_state
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.linux.task import Task


def _short(state: TaskState) -> str:
    return str(state).removeprefix("TASK_")


@kernel_function("include/linux/sched.h", label=lambda s: f"set_current_state({_short(s)})")
def set_current_state(state: TaskState) -> None:
    """Write the state, with a full barrier behind it."""
    current().state.write(state)


@kernel_function("include/linux/sched.h", quiet=True)
def __set_current_state(state: TaskState) -> None:
    """Write the state without a barrier; the model is sequentially consistent anyway."""
    current().state.write(state)


def _is_running(state: TaskState) -> bool:
    return state == TASK_RUNNING


def _look_for_signals(task: Task) -> None:
    """What ``schedule()`` does first: with a signal pending that ends this sleep, none begins."""
    if task.signals is None:
        return
    with atomic():
        state = task.state.read()
        if signal_pending_state(state, task):
            task.state.write(TASK_RUNNING)


@kernel_function("kernel/sched/core.c")
def schedule() -> None:
    """Leave the CPU until the state is ``TASK_RUNNING``; at once if it is already."""
    might_sleep("schedule()")
    _look_for_signals(current())
    current().state.wait(_is_running)


def _expire(state: TaskState) -> tuple[TaskState, bool]:
    return TASK_RUNNING, state == TASK_RUNNING


@kernel_function("kernel/time/sleep_timeout.c")
def schedule_timeout() -> bool:
    """Sleep until woken or until the time is up; tell whether it was the former.

    The model has no clock: any time may be up at any moment.
    """
    might_sleep("schedule_timeout()")
    _look_for_signals(current())
    return current().state.update(_expire)


def _wake(state: TaskState, mask: TaskState) -> tuple[TaskState, bool]:
    return (TASK_RUNNING, True) if state & mask else (state, False)


@kernel_function("kernel/sched/core.c", label=lambda task, mask: f"try_to_wake_up({task})")
def try_to_wake_up(task: Task, mask: TaskState) -> bool:
    """Make ``task`` runnable if its state is in ``mask``; tell whether that was so.

    It is also true of a task that has set its state and not yet called ``schedule()``: it will
    find itself running there and not sleep.
    """
    return task.state.update(_wake, mask)
