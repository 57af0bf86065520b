"""Wait queues (``kernel/sched/wait.c``).

A queue is a lock and a list of entries; each entry names the sleeping task and the function that
wakes it. ``waitqueue_active()`` looks at the list without the lock: its callers need a barrier and
an argument of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from refault.explore import atomic
from refault.linux.include.linux.sched import TASK_NORMAL, TaskState, WqFlag
from refault.linux.include.uapi.userfaultfd import UffdMsg, UffdRange
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.modelled import current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program

WakeFunction: TypeAlias = "Callable[[WaitQueueHead, WaitQueueEntry, TaskState, Any], int]"
"""Wakes one entry: positive if it woke somebody, negative to end the walk.

What is woken for comes last: an address range for userfaultfd, a page for the locks of folios,
``ANY`` elsewhere.
"""


class WaitQueueEntry(NamedTuple):
    """``wait_queue_entry_t``: who waits, how to wake it, and what it waits for.

    ``msg`` is the message of a userfault; ``page`` the number of a page whose lock is waited for,
    with ``handoff`` (``WQ_FLAG_CUSTOM``) if the waker shall take it for the waiter. ``until`` says
    when the wait is over, for the diagnosis.
    """

    task: str
    func: WakeFunction
    exclusive: bool = False
    msg: UffdMsg | None = None
    page: int = 0
    handoff: bool = False
    until: Until | None = None

    def __repr__(self) -> str:
        return f"{self.task}: {self.msg}" if self.msg else self.task


class Until(NamedTuple):
    """What ends a wait: a condition on one cell."""

    cell: Cell[Any]
    holds: Callable[..., bool]
    args: tuple[Hashable, ...] = ()

    def __repr__(self) -> str:
        return f"until {self.cell.name} {self.holds.__name__}{self.args or ''}"


class WaitQueueHead:
    """``wait_queue_head_t``; ``head`` holds the entries, the first one first."""

    def __init__(self, program: Program, name: str, *, quiet: bool = False) -> None:
        self.name = name
        program.context.setdefault("wait queues", []).append(self)
        self.lock = SpinLock(program, name, quiet=quiet)
        self.head: Cell[tuple[WaitQueueEntry, ...]] = program.cell(f"{name}.head", ())

    def __repr__(self) -> str:
        return self.name


def _add(
    entries: tuple[WaitQueueEntry, ...], entry: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], None]:
    return (entry, *entries), None


def _add_tail(
    entries: tuple[WaitQueueEntry, ...], entry: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], None]:
    return (*entries, entry), None


def _del(
    entries: tuple[WaitQueueEntry, ...], entry: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], bool]:
    return tuple(e for e in entries if e != entry), entry in entries


def _label(function: str) -> Callable[[WaitQueueHead, WaitQueueEntry], str]:
    return lambda q, entry: f"{'~' * q.lock.quiet}{function}({q})"


@kernel_function("include/linux/wait.h", label=_label("__add_wait_queue"))
def __add_wait_queue(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Put ``entry`` at the head of the list; the caller holds ``q.lock``."""
    with atomic():
        q.head.update(_add, entry)
        current_kernel().task(entry.task).on_list.write(True)


@kernel_function("include/linux/wait.h", label=_label("__add_wait_queue_entry_tail"))
def __add_wait_queue_entry_tail(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Put ``entry`` at the tail of the list; the caller holds ``q.lock``."""
    with atomic():
        q.head.update(_add_tail, entry)
        current_kernel().task(entry.task).on_list.write(True)


@kernel_function("include/linux/wait.h", label=_label("__remove_wait_queue"))
def __remove_wait_queue(q: WaitQueueHead, entry: WaitQueueEntry) -> bool:
    """Take ``entry`` off the list and tell whether it was there; the caller holds ``q.lock``."""
    return q.head.update(_del, entry)


@kernel_function("include/linux/list.h", quiet=True)
def list_del_init(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Take ``entry`` off the list, and let ``list_empty_careful()`` of it say so afterwards."""
    __remove_wait_queue(q, entry)
    current_kernel().task(entry.task).on_list.write(False)


@kernel_function("kernel/sched/wait.c", label=lambda q, e: f"add_wait_queue({q})")
def add_wait_queue(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Put a non-exclusive ``entry`` on the queue."""
    spin_lock(q.lock)
    __add_wait_queue(q, entry)
    spin_unlock(q.lock)


@kernel_function("kernel/sched/wait.c", label=lambda q, e: f"add_wait_queue_exclusive({q})")
def add_wait_queue_exclusive(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Put an exclusive ``entry`` on the queue, behind all others."""
    spin_lock(q.lock)
    __add_wait_queue_entry_tail(q, entry._replace(exclusive=True))
    spin_unlock(q.lock)


@kernel_function("kernel/sched/wait.c", label=lambda q, e: f"remove_wait_queue({q})")
def remove_wait_queue(q: WaitQueueHead, entry: WaitQueueEntry) -> None:
    """Take ``entry`` off the queue."""
    spin_lock(q.lock)
    list_del_init(q, entry)
    spin_unlock(q.lock)


@kernel_function("include/linux/wait.h", label=lambda q: f"waitqueue_active({q})", quiet=True)
def waitqueue_active(q: WaitQueueHead) -> bool:
    """Look whether anybody waits, without the lock."""
    return bool(q.head.read())


@kernel_function("kernel/sched/core.c", quiet=True)
def default_wake_function(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: Any
) -> int:
    """Wake the task and leave its entry where it is."""
    return int(try_to_wake_up(current_kernel().task(entry.task), mode))


@kernel_function("kernel/sched/wait.c", quiet=True)
def autoremove_wake_function(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: Any
) -> int:
    """Wake the task, and take its entry off the queue if that did wake it."""
    woken = try_to_wake_up(current_kernel().task(entry.task), mode)
    if woken:
        list_del_init(q, entry)
    return int(woken)


def _mark(flags: WqFlag, flag: WqFlag) -> tuple[WqFlag, None]:
    return flags | flag, None


@kernel_function("kernel/sched/wait.c", quiet=True)
def woken_wake_function(q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: Any) -> int:
    """Leave word that there was a wake-up, then wake the task."""
    task = current_kernel().task(entry.task)
    task.wait_flags.update(_mark, WqFlag.WOKEN)
    return int(try_to_wake_up(task, mode))


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up_common(q: WaitQueueHead, mode: TaskState, nr_exclusive: int, key: Any) -> int:
    """Call the wake function of each entry until enough exclusive ones were woken.

    The caller holds ``q.lock``. Returns how many exclusive wake-ups are left.
    """
    for entry in q.head.read():
        ret = entry.func(q, entry, mode, key)
        if ret < 0:
            break
        if ret and entry.exclusive:
            nr_exclusive -= 1
            if not nr_exclusive:
                break
    return nr_exclusive


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up_locked_key(q: WaitQueueHead, mode: TaskState, key: Any) -> None:
    """Wake under a lock that the caller holds."""
    __wake_up_common(q, mode, 1, key)


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up(q: WaitQueueHead, mode: TaskState, nr_exclusive: int, key: Any) -> None:
    """Wake all non-exclusive waiters and ``nr_exclusive`` of the others."""
    spin_lock(q.lock)
    __wake_up_common(q, mode, nr_exclusive, key)
    spin_unlock(q.lock)


ANY = UffdRange(0, 0)
"""The key of a wake-up that is meant for everybody."""


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up_sync_key(q: WaitQueueHead) -> None:
    """Wake all non-exclusive waiters and one of the others; the waker is about to sleep itself."""
    spin_lock(q.lock)
    __wake_up_common(q, TASK_NORMAL, 1, ANY)
    spin_unlock(q.lock)


@kernel_function("include/linux/wait.h", label=lambda q: f"wake_up_poll({q})")
def wake_up_poll(q: WaitQueueHead) -> None:
    """Tell readers and pollers that there is something to read."""
    __wake_up(q, TASK_NORMAL, 1, ANY)


@kernel_function("include/linux/wait.h", label=lambda q: f"wake_up({q})")
def wake_up(q: WaitQueueHead) -> None:
    """Wake all non-exclusive waiters and one of the others."""
    __wake_up(q, TASK_NORMAL, 1, ANY)


@kernel_function("include/linux/wait.h", label=lambda q: f"wake_up_all({q})")
def wake_up_all(q: WaitQueueHead) -> None:
    """Wake all waiters."""
    __wake_up(q, TASK_NORMAL, 0, ANY)
