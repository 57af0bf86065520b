"""The folio lock (``mm/filemap.c``, ``include/linux/pagemap.h``).

A bit of the folio, with a hashed wait queue for whoever has to wait. Three kinds of waiters share
that queue: those who want the lock are exclusive, so one of them is woken at a time; others only
wait for it to be free, with a reference to the folio or without.

As a rule the model takes the wake-ups of this queue to be right: to wait is to be blocked until the
bit is clear. ``k.folio_wait_table()`` gives a story the queue itself, entries, flags and all: then
``folio_wait_bit_common()`` is modelled step by step. A killable wait for the lock is the one that
can go wrong: see ``scenarios/folio_lock.py``.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import BLOCKED, Blocked, Violation, atomic, current_task, restart, scope
from refault.linux.include.linux.page import folio_put, frame
from refault.linux.include.linux.sched import (
    TASK_KILLABLE,
    TASK_NORMAL,
    TASK_UNINTERRUPTIBLE,
    TaskState,
    WqFlag,
)
from refault.linux.include.linux.sched.signal import signal_pending_state
from refault.linux.include.uapi.errno import EINTR
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.locking.sleep import wait_or_signal
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule, set_current_state, try_to_wake_up
from refault.linux.kernel.sched.wait import (
    Until,
    WaitQueueEntry,
    WaitQueueHead,
    __add_wait_queue_entry_tail,
    __wake_up_locked_key,
    list_del_init,
    waitqueue_active,
)
from refault.linux.kernel.sched.wait_event import finish_wait
from refault.linux.modelled import current, current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class Behavior(Enum):
    """What a waiter wants: the lock; to see it free; or that too, without a reference."""

    EXCLUSIVE = "exclusive"
    SHARED = "shared"
    DROP = "drop"


class FolioWaitTable:
    """``folio_wait_table`` with one bucket, in which all folios meet, and their PG_waiters bits."""

    def __init__(self, program: Program) -> None:
        self.queue = WaitQueueHead(program, "folio_waitqueue")
        self.waiters: Cell[tuple[int, ...]] = program.cell("PG_waiters", ())


class WaitPageKey(NamedTuple):
    """``struct wait_page_key``: whose lock was released."""

    page: int


def trylock(owner: str | None, task: str) -> tuple[str | None, bool]:
    """Take the bit if it is free: an operation on the lock's cell."""
    return (task, True) if owner is None else (owner, False)


def _lock(owner: str | None, task: str) -> tuple[str | None, None] | Blocked:
    return BLOCKED if owner else (task, None)


def _unlock(owner: str | None, task: str) -> tuple[str | None, None]:
    if owner != task:
        raise Violation("lock imbalance", f"{task} unlocks a folio of {owner or 'nobody'}")
    return None, None


def unlocked(owner: str | None) -> bool:
    """Tell whether the lock is free; for the diagnosis too."""
    return owner is None


def _stay(owner: str | None) -> tuple[str | None, None]:
    return owner, None


def _name(pfn: int) -> str:
    return f"the lock of page {pfn}"


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_trylock")
def folio_trylock(pfn: int) -> bool:
    """Take the lock bit if it is free."""
    taken = frame(pfn).lock.update(trylock, current_task())
    if taken:
        lock_acquire(_name(pfn))
    return taken


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_lock")
def folio_lock(pfn: int) -> None:
    """Take the lock bit, sleeping uninterruptibly if need be."""
    might_sleep("folio_lock()")
    if current_kernel().folio_waits is None:
        frame(pfn).lock.update(_lock, current_task())
    elif not frame(pfn).lock.update(trylock, current_task()):
        folio_wait_bit_common(pfn, TASK_UNINTERRUPTIBLE, Behavior.EXCLUSIVE)
    lock_acquire(_name(pfn))


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_lock_killable")
def folio_lock_killable(pfn: int) -> int:
    """Take the lock bit; -EINTR where SIGKILL ends the wait for it."""
    might_sleep("folio_lock_killable()")
    return lock_in_state(pfn, TASK_KILLABLE)


def lock_in_state(pfn: int, state: TaskState) -> int:
    """Take the lock bit; -EINTR where a signal ends the sleep in ``state``."""
    if current().signals is None and current_kernel().folio_waits is None:
        frame(pfn).lock.update(_lock, current_task())
    elif not frame(pfn).lock.update(trylock, current_task()):
        err = folio_wait_bit_common(pfn, state, Behavior.EXCLUSIVE)
        if err:
            return err
    lock_acquire(_name(pfn))
    return 0


@kernel_function("mm/filemap.c", label=lambda pfn: "folio_unlock")
def folio_unlock(pfn: int) -> None:
    """Clear the lock bit and wake whoever waits for it."""
    table = current_kernel().folio_waits
    with atomic():
        frame(pfn).lock.update(_unlock, current_task())
        waiters = table is not None and pfn in table.waiters.read()
    lock_release(_name(pfn))
    if waiters:
        folio_wake_bit(pfn)


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_wait_locked")
def folio_wait_locked(pfn: int) -> None:
    """Sleep uninterruptibly until the folio is unlocked; the caller has a reference."""
    if not frame(pfn).lock.peek(unlocked):
        folio_wait_bit_common(pfn, TASK_UNINTERRUPTIBLE, Behavior.SHARED)


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_wait_locked_killable")
def folio_wait_locked_killable(pfn: int) -> int:
    """Sleep until the folio is unlocked; -EINTR where SIGKILL comes first."""
    if frame(pfn).lock.peek(unlocked):
        return 0
    return folio_wait_bit_common(pfn, TASK_KILLABLE, Behavior.SHARED)


@kernel_function("mm/filemap.c", label=lambda pfn, state: "folio_put_wait_locked")
def folio_put_wait_locked(pfn: int, state: TaskState) -> int:
    """Drop the reference, once queued, and sleep until the folio is unlocked."""
    return folio_wait_bit_common(pfn, state, Behavior.DROP)


@kernel_function("mm/filemap.c", label=lambda pfn: "migration_entry_wait_on_locked")
def migration_entry_wait_on_locked(pfn: int) -> None:
    """Sleep uninterruptibly, without a reference, until the folio of an entry is unlocked."""
    might_sleep("migration_entry_wait_on_locked()")
    folio_wait_bit_common(pfn, TASK_UNINTERRUPTIBLE, Behavior.SHARED)


@kernel_function("mm/filemap.c", quiet=True)
def page_lock_unfairness() -> int:
    """How many times a waiter may find the lock gone before it asks to be handed it: a sysctl."""
    return 5


@kernel_function("mm/filemap.c", quiet=True)
def folio_wait_bit_common(pfn: int, state: TaskState, behavior: Behavior) -> int:
    """Sleep until the lock bit is clear, and take it if that is the ``behavior``; or -EINTR."""
    might_sleep("folio_wait_bit_common()")
    if current_kernel().folio_waits is None:
        return wait_blocked(pfn, state, behavior)
    unfairness = page_lock_unfairness()
    dropped = behavior is not Behavior.DROP
    while True:
        restart(unfairness, dropped)
        unfairness -= behavior is Behavior.EXCLUSIVE
        entry = _enqueue(pfn, behavior, handoff=unfairness < 0)
        if not dropped:
            folio_put(pfn)
            dropped = True
        if _sleep(entry, state):
            break
    finish_wait(wait_table().queue, entry)
    return folio_wait_result(pfn, behavior)


def wait_blocked(pfn: int, state: TaskState, behavior: Behavior) -> int:
    """Wait for a folio without a queue: blocked until its lock is free."""
    lock = frame(pfn).lock
    if behavior is Behavior.DROP:
        folio_put(pfn)
    while True:
        restart()
        if not wait_or_signal(lock, unlocked, state=state, leave=_stay):
            return -EINTR
        if behavior is not Behavior.EXCLUSIVE or lock.update(trylock, current_task()):
            return 0


def wait_table() -> FolioWaitTable:
    """Return the queues of a story that has them."""
    table = current_kernel().folio_waits
    assert table is not None
    return table


def set_waiters(pages: tuple[int, ...], pfn: int) -> tuple[tuple[int, ...], None]:
    """Set a page's PG_waiters bit: an operation on the table's cell."""
    return tuple(sorted({*pages, pfn})), None


def _clear_waiters(pages: tuple[int, ...], pfn: int) -> tuple[tuple[int, ...], None]:
    return tuple(page for page in pages if page != pfn), None


def _enqueue(pfn: int, behavior: Behavior, *, handoff: bool) -> WaitQueueEntry:
    """Look once more, with PG_waiters set, and queue under the queue's lock if it is in vain."""
    table, me, lock = wait_table(), current(), frame(pfn).lock
    wants = behavior is Behavior.EXCLUSIVE
    until = Until(lock, unlocked)
    entry = WaitQueueEntry(
        me.name, wake_page_function, wants, page=pfn, handoff=handoff, until=until
    )
    me.wait_flags.write(WqFlag.NONE)
    spin_lock(table.queue.lock)
    table.waiters.update(set_waiters, pfn)
    if lock.update(trylock, me.name) if wants else lock.peek(unlocked):
        me.wait_flags.write(WqFlag.WOKEN | WqFlag.DONE)
    else:
        __add_wait_queue_entry_tail(table.queue, entry)
    spin_unlock(table.queue.lock)
    return entry


@scope
def _sleep(entry: WaitQueueEntry, state: TaskState) -> bool:
    """Sleep until woken or interrupted; false if the lock was gone again and all must be redone."""
    me = current()
    while True:
        restart()
        set_current_state(state)
        flags = me.wait_flags.read()
        if not flags & WqFlag.WOKEN:
            if signal_pending_state(state, me):
                return True
            schedule()
            continue
        if not entry.exclusive or flags & WqFlag.DONE:
            return True
        if not frame(entry.page).lock.update(trylock, me.name):
            return False
        me.wait_flags.write(flags | WqFlag.DONE)
        return True


@kernel_function("mm/filemap.c", quiet=True)
def folio_wait_result(pfn: int, behavior: Behavior) -> int:
    """Tell from the flags whether the wait was successful: the tail of its function."""
    flags = current().wait_flags.read()
    wanted = WqFlag.DONE if behavior is Behavior.EXCLUSIVE else WqFlag.WOKEN
    return 0 if flags & wanted else -EINTR


def _mark(flags: WqFlag, flag: WqFlag) -> tuple[WqFlag, None]:
    return flags | flag, None


@kernel_function("mm/filemap.c", label=lambda q, entry, mode, key: f"wake {entry.task}")
def wake_page_function(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: WaitPageKey
) -> int:
    """Wake a waiter for this page; for one who wants the lock, only while it is free.

    The entry leaves the queue whether or not the task was asleep. One that asks for it is handed
    the lock.
    """
    if entry.page != key.page:
        return 0
    task, flags = current_kernel().task(entry.task), WqFlag.WOKEN
    if entry.exclusive:
        if entry.handoff:
            if not frame(key.page).lock.update(trylock, entry.task):
                return -1
            flags |= WqFlag.DONE
        elif not frame(key.page).lock.peek(unlocked):
            return -1
    task.wait_flags.update(_mark, flags)
    try_to_wake_up(task, mode)
    list_del_init(q, entry)
    return int(entry.exclusive)


@kernel_function("mm/filemap.c", quiet=True)
def folio_wake_bit(pfn: int) -> None:
    """Wake all waiters for this page but those who want the lock, and the first of those."""
    table = wait_table()
    spin_lock(table.queue.lock)
    match = any(entry.page == pfn for entry in table.queue.head.read())
    __wake_up_locked_key(table.queue, TASK_NORMAL, WaitPageKey(pfn))
    if not match or not waitqueue_active(table.queue):
        table.waiters.update(_clear_waiters, pfn)
    spin_unlock(table.queue.lock)
