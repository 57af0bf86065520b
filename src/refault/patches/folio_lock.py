"""How tasks wait for the lock of a page, from 4.13 on.

Waiters for the lock are exclusive, so a wake-up is for one of them, and whoever is woken must take
the lock, or there must be another wake-up. A waiter that is being killed is the hard case.
"""

from __future__ import annotations

from refault.explore import restart
from refault.linux.include.linux.page import folio_put, frame
from refault.linux.include.linux.sched import TaskState, WqFlag
from refault.linux.include.linux.sched.signal import signal_pending_state
from refault.linux.include.uapi.errno import EINTR
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule, set_current_state
from refault.linux.kernel.sched.wait import (
    Until,
    WaitQueueEntry,
    WaitQueueHead,
    __add_wait_queue_entry_tail,
    autoremove_wake_function,
)
from refault.linux.kernel.sched.wait_event import finish_wait
from refault.linux.mm.folio_lock import (
    Behavior,
    WaitPageKey,
    set_waiters,
    trylock,
    unlocked,
    wait_blocked,
    wait_table,
    wake_page_function,
)
from refault.linux.modelled import current, current_kernel
from refault.patches.patch import Patch


def _always_handed_over() -> int:
    return 0


page_lock_unfairness = Patch(
    name="page_lock_unfairness",
    title="mm: allow a controlled amount of unfairness in the page lock",
    kind="fix",
    commit="5ef64cc8987a",
    since="5.9",
    source="Linus Torvalds, 2020",
    replaces={"page_lock_unfairness": _always_handed_over},
)


def _wake_and_leave_the_lock(
    q: WaitQueueHead, entry: WaitQueueEntry, mode: TaskState, key: WaitPageKey
) -> int:
    if entry.page != key.page:
        return 0
    if not frame(key.page).lock.peek(unlocked):
        return -1
    return autoremove_wake_function(q, entry, mode, key)


def _loop(pfn: int, state: TaskState, behavior: Behavior, *, lock_first: bool) -> int:
    """Queue, sleep while the bit is set, try: the loop that was there before the rewrite."""
    if current_kernel().folio_waits is None:
        return wait_blocked(pfn, state, behavior)
    queue, lock = wait_table().queue, frame(pfn).lock
    wants = behavior is Behavior.EXCLUSIVE
    until = Until(lock, unlocked)
    entry = WaitQueueEntry(current().name, wake_page_function, wants, page=pfn, until=until)
    err, dropped = 0, behavior is not Behavior.DROP
    while True:
        restart(dropped)
        spin_lock(queue.lock)
        if not current().on_list.read():
            __add_wait_queue_entry_tail(queue, entry)
            wait_table().waiters.update(set_waiters, pfn)
        set_current_state(state)
        spin_unlock(queue.lock)
        locked = not lock.peek(unlocked)
        if not dropped:
            folio_put(pfn)
            dropped = True
        if locked:
            schedule()
        if not lock_first and locked and signal_pending_state(state, current()):
            err = -EINTR
            break
        if lock.update(trylock, current().name) if wants else lock.peek(unlocked):
            break
        if lock_first and signal_pending_state(state, current()):
            err = -EINTR
            break
    finish_wait(queue, entry)
    return err


def _lock_first(pfn: int, state: TaskState, behavior: Behavior) -> int:
    return _loop(pfn, state, behavior, lock_first=True)


def _signal_first(pfn: int, state: TaskState, behavior: Behavior) -> int:
    return _loop(pfn, state, behavior, lock_first=False)


page_wait_rewrite = Patch(
    name="page_wait_rewrite",
    title="mm: rewrite wait_on_page_bit_common() logic",
    kind="fix",
    commit="2a9127fcf229",
    since="5.9",
    source="Linus Torvalds, 2020, after LKML 2020-06-24, Oleg Nesterov",
    replaces={
        "folio_wait_bit_common": _lock_first,
        "wake_page_function": _wake_and_leave_the_lock,
    },
)

page_wait_lock_first = Patch(
    name="page_wait_lock_first",
    title="Avoid page waitqueue race leaving possible page locker waiting",
    kind="fix",
    commit="a8b169afbf06",
    since="4.13",
    source="Linus Torvalds, 2017",
    replaces={
        "folio_wait_bit_common": _signal_first,
        "wake_page_function": _wake_and_leave_the_lock,
    },
    over=("page_wait_rewrite",),
)


def _take_what_one_was_woken_for(pfn: int, behavior: Behavior) -> int:
    flags = current().wait_flags.read()
    if behavior is not Behavior.EXCLUSIVE:
        return 0 if flags & WqFlag.WOKEN else -EINTR
    if flags & WqFlag.DONE:
        return 0
    woken = flags & WqFlag.WOKEN
    return 0 if woken and frame(pfn).lock.update(trylock, current().name) else -EINTR


folio_lock_takes_its_wakeup = Patch(
    name="folio_lock_takes_its_wakeup",
    title="mm: a killed waiter that was woken for the folio lock tries to take it",
    kind="proposal",
    source="follows from the stories of folio locks in the catalogue",
    replaces={"folio_wait_result": _take_what_one_was_woken_for},
)
