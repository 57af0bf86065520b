"""Wait queues (``kernel/sched/wait.c``).

A queue is a lock and a list of entries; each entry names the sleeping task and the function that
wakes it. ``waitqueue_active()`` looks at the list without the lock: its callers need a barrier and
an argument of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

from refault.explore import atomic
from refault.linux.include.linux.sched import TASK_NORMAL, TaskState
from refault.linux.include.uapi.userfaultfd import UffdMsg, UffdRange
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock
from refault.linux.kernel.sched.core import try_to_wake_up
from refault.linux.modelled import current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program

WakeFunction: TypeAlias = "Callable[[WaitQueueHead, WaitQueueEntry, TaskState, UffdRange], int]"


class WaitQueueEntry(NamedTuple):
    """``wait_queue_entry_t``: who waits, how to wake it, and what it waits for."""

    task: str
    func: WakeFunction
    exclusive: bool = False
    msg: UffdMsg | None = None

    def __repr__(self) -> str:
        return f"{self.task}: {self.msg}" if self.msg else self.task


class WaitQueueHead:
    """``wait_queue_head_t``; ``head`` holds the entries, the first one first."""

    def __init__(self, program: Program, name: str, *, quiet: bool = False) -> None:
        self.name = name
        self.lock = SpinLock(program, name, quiet=quiet)
        self.head: Cell[tuple[WaitQueueEntry, ...]] = program.cell(f"{name}.head", ())

    def __repr__(self) -> str:
        return self.name


def _add(
    entries: tuple[WaitQueueEntry, ...], entry: WaitQueueEntry
) -> tuple[tuple[WaitQueueEntry, ...], None]:
    return (entry, *entries), None


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


@kernel_function("include/linux/wait.h", label=lambda q: f"waitqueue_active({q})", quiet=True)
def waitqueue_active(q: WaitQueueHead) -> bool:
    """Look whether anybody waits, without the lock."""
    return bool(q.head.read())


@kernel_function("kernel/sched/core.c", quiet=True)
def default_wake_function(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: UffdRange
) -> int:
    """Wake the task and leave its entry where it is."""
    return int(try_to_wake_up(current_kernel().task(entry.task), mode))


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up_common(q: WaitQueueHead, mode: TaskState, nr_exclusive: int, key: UffdRange) -> int:
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
def __wake_up_locked_key(q: WaitQueueHead, mode: TaskState, key: UffdRange) -> None:
    """Wake under a lock that the caller holds."""
    __wake_up_common(q, mode, 1, key)


@kernel_function("kernel/sched/wait.c", quiet=True)
def __wake_up(q: WaitQueueHead, mode: TaskState, nr_exclusive: int, key: UffdRange) -> None:
    """Wake all non-exclusive waiters and ``nr_exclusive`` of the others."""
    spin_lock(q.lock)
    __wake_up_common(q, mode, nr_exclusive, key)
    spin_unlock(q.lock)


ANY = UffdRange(0, 0)
"""The key of a wake-up that is meant for everybody."""


@kernel_function("include/linux/wait.h", label=lambda q: f"wake_up_poll({q})")
def wake_up_poll(q: WaitQueueHead) -> None:
    """Tell readers and pollers that there is something to read."""
    __wake_up(q, TASK_NORMAL, 1, ANY)
