"""Waiting for a condition (``kernel/sched/wait.c``, ``include/linux/wait.h``).

The loop is always the same: queue, set the state, test the condition, and only then sleep. A
condition is asked of one cell; whoever makes it true wakes the queue afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from refault.explore import current_task, restart
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_RUNNING,
    TASK_UNINTERRUPTIBLE,
    TaskState,
    WqFlag,
)
from refault.linux.include.linux.sched.signal import signal_pending_state
from refault.linux.include.uapi.errno import ERESTARTSYS
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import __set_current_state, schedule, set_current_state
from refault.linux.kernel.sched.sleep_state import interruptible_sleep
from refault.linux.kernel.sched.wait import (
    Until,
    WaitQueueEntry,
    WaitQueueHead,
    __add_wait_queue,
    __add_wait_queue_entry_tail,
    autoremove_wake_function,
    list_del_init,
)
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell


def DEFINE_WAIT(*, exclusive: bool = False, until: Until | None = None) -> WaitQueueEntry:
    """Return an entry for the running task that leaves the queue by itself when it is woken."""
    return WaitQueueEntry(current_task(), autoremove_wake_function, exclusive, until=until)


def _queue(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    if not current().on_list.read():
        add = __add_wait_queue_entry_tail if entry.exclusive else __add_wait_queue
        add(q, entry)


@kernel_function("kernel/sched/wait.c", label=lambda q, entry, state: f"prepare_to_wait({q})")
def prepare_to_wait(q: WaitQueueHead, entry: WaitQueueEntry, state: TaskState) -> None:
    """Queue the running task, if it is not on the queue, and set its state."""
    spin_lock(q.lock)
    _queue(q, entry)
    set_current_state(state)
    spin_unlock(q.lock)


@kernel_function("kernel/sched/wait.c", label=lambda q, entry, state: f"prepare_to_wait_event({q})")
def prepare_to_wait_event(q: WaitQueueHead, entry: WaitQueueEntry, state: TaskState) -> int:
    """Queue the running task and set its state; -ERESTARTSYS, and off the queue, for a signal."""
    spin_lock(q.lock)
    interrupted = signal_pending_state(state, current())
    if interrupted:
        list_del_init(q, entry)
    else:
        _queue(q, entry)
        set_current_state(state)
    spin_unlock(q.lock)
    return -ERESTARTSYS if interrupted else 0


@kernel_function("kernel/sched/wait.c", label=lambda q, entry: f"finish_wait({q})")
def finish_wait(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Go on running, and leave the queue if no waker has taken the entry off it."""
    __set_current_state(TASK_RUNNING)
    if current().on_list.read():
        spin_lock(q.lock)
        list_del_init(q, entry)
        spin_unlock(q.lock)


def _wait_event(
    q: WaitQueueHead, state: TaskState, exclusive: bool, cell: Cell[Any], holds: Holds, *args: Any
) -> int:
    might_sleep(f"wait_event({q})")
    if cell.peek(holds, *args):
        return 0
    entry = DEFINE_WAIT(exclusive=exclusive, until=Until(cell, holds, args))
    while True:
        restart()
        err = prepare_to_wait_event(q, entry, state)
        if cell.peek(holds, *args):
            break
        if err:
            return err
        schedule()
    finish_wait(q, entry)
    return 0


Holds = Callable[..., bool]


@kernel_function("include/linux/wait.h", label=lambda q, *condition: f"wait_event({q})")
def wait_event(q: WaitQueueHead, cell: Cell[Any], holds: Holds, *args: Hashable) -> None:
    """Sleep until ``holds(value of cell, *args)``."""
    _wait_event(q, TASK_UNINTERRUPTIBLE, False, cell, holds, *args)


@kernel_function("include/linux/wait.h", label=lambda q, *condition: f"wait_event_killable({q})")
def wait_event_killable(q: WaitQueueHead, cell: Cell[Any], holds: Holds, *args: Hashable) -> int:
    """Sleep until a condition holds; -ERESTARTSYS where SIGKILL comes first."""
    return _wait_event(q, TASK_KILLABLE, False, cell, holds, *args)


@kernel_function(
    "include/linux/wait.h", label=lambda q, *condition: f"wait_event_interruptible({q})"
)
def wait_event_interruptible(
    q: WaitQueueHead, cell: Cell[Any], holds: Holds, *args: Hashable
) -> int:
    """Sleep until a condition holds; -ERESTARTSYS where a signal comes first."""
    return _wait_event(q, interruptible_sleep(), False, cell, holds, *args)


@kernel_function(
    "include/linux/wait.h", label=lambda q, *condition: f"wait_event_interruptible_exclusive({q})"
)
def wait_event_interruptible_exclusive(
    q: WaitQueueHead, cell: Cell[Any], holds: Holds, *args: Hashable
) -> int:
    """Sleep as one of those of whom a wake-up is for one; a signal ends it with -ERESTARTSYS."""
    return _wait_event(q, TASK_INTERRUPTIBLE, True, cell, holds, *args)


def _unmark(flags: WqFlag, flag: WqFlag) -> tuple[WqFlag, None]:
    return flags & ~flag, None


@kernel_function("kernel/sched/wait.c")
def wait_woken(state: TaskState) -> None:
    """Sleep unless a ``woken_wake_function()`` came since the last time; the caller is queued."""
    set_current_state(state)
    if not current().wait_flags.read() & WqFlag.WOKEN:
        schedule()
    __set_current_state(TASK_RUNNING)
    current().wait_flags.update(_unmark, WqFlag.WOKEN)
