"""How a task sleeps in a sleeping lock: until it gets it, or until a signal ends the sleep.

The wake-ups of locks are taken to be right, so a waiter does not write its state and call
``schedule()``: it is blocked until its turn has come. Where both are true, it has its turn *and* a
signal is pending, it takes the lock: the kernel looks at the lock first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

from refault.explore import atomic
from refault.linux.include.linux.sched import TASK_INTERRUPTIBLE, TASK_WAKEKILL, TaskState
from refault.linux.include.linux.sched.signal import interrupts
from refault.linux.modelled import current

if TYPE_CHECKING:
    from refault.explore import Cell

T = TypeVar("T")


def wait_or_signal(
    cell: Cell[T], turn: Callable[..., bool], *args: Any, state: TaskState, leave: Leave[T]
) -> bool:
    """Sleep in ``state`` until ``turn(value, *args)``; false if a signal ended the sleep.

    In that case ``leave(value, *args)``, an operation, has taken the task off the queue.
    """
    task = current()
    if task.signals is None or not state & (TASK_INTERRUPTIBLE | TASK_WAKEKILL):
        cell.wait(turn, *args)
        return True
    with atomic():
        if cell.peek(turn, *args):
            return True
        task.signals.wait(interrupts, state)
        cell.update(leave, *args)
    return False


Leave = Callable[..., tuple[T, None]]
