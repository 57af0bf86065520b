"""Telling the owners of other page tables (``mm/mmu_notifier.c``).

They are called under SRCU and under no lock of the notifiers' own, so that one may wait for another
task that is itself in the middle of an invalidation. When a process ends, each is released before
it leaves the list: in between a page could be freed, and its owner would not be told.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import (
    MmuNotifier,
    MmuNotifierRange,
    MmuNotifyEvent,
    NotifierSubscriptions,
    subscriptions_of,
)
from refault.linux.kernel.locking.lockdep import non_block_end, non_block_start
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.rcu.srcutree import (
    call_srcu,
    srcu_read_lock,
    srcu_read_unlock,
    synchronize_srcu,
)
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.mmu_interval import (
    mn_itree_inv_end,
    mn_itree_invalidate,
    mn_itree_release,
)
from refault.linux.modelled import kernel_function


def mmu_notifier_invalidate_range_start(range: MmuNotifierRange) -> None:
    """Tell all who have mapped the range that it is about to change; may sleep."""
    if range.mm.notifiers is not None:
        __mmu_notifier_invalidate_range_start(range)


def mmu_notifier_invalidate_range_start_nonblock(range: MmuNotifierRange) -> int:
    """The same of who must not wait: -EAGAIN, and nothing is going on, where somebody would."""
    if range.mm.notifiers is None:
        return 0
    return __mmu_notifier_invalidate_range_start(range._replace(blockable=False))


def mmu_notifier_invalidate_range_end(range: MmuNotifierRange) -> None:
    """Tell them that it has changed."""
    if range.mm.notifiers is not None:
        __mmu_notifier_invalidate_range_end(range)


@kernel_function("mm/mmu_notifier.c", label=lambda range: f"invalidate_range_start({range})")
def __mmu_notifier_invalidate_range_start(range: MmuNotifierRange) -> int:
    """Tell the intervals, then the list; 0, or -EAGAIN of who must not sleep."""
    subscriptions = subscriptions_of(range.mm)
    if subscriptions.intervals:
        err = mn_itree_invalidate(subscriptions, range)
        if err:
            return err
    if subscriptions.notifiers:
        return mn_hlist_invalidate_range_start(subscriptions, range)
    return 0


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_hlist_invalidate_range_start(
    subscriptions: NotifierSubscriptions, range: MmuNotifierRange
) -> int:
    """Tell each on the list; after an error all of them that it is over."""
    ret = 0
    srcu_read_lock(subscriptions.srcu)
    for subscription in subscriptions.notifiers:
        start = subscription.ops.invalidate_range_start
        if start is None or not hashed(subscription):
            continue
        if not range.blockable:
            non_block_start()
        ret = start(range) or ret
        if not range.blockable:
            non_block_end()
    if ret:
        mn_hlist_invalidate_failed(subscriptions, range)
    srcu_read_unlock(subscriptions.srcu)
    return ret


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_hlist_invalidate_failed(
    subscriptions: NotifierSubscriptions, range: MmuNotifierRange
) -> None:
    """Nothing is going to change: whoever was told that it is, is told that it is over.

    One that fails must not have an end of its own, for it would not know whether it began.
    """
    for subscription in subscriptions.notifiers:
        end = subscription.ops.invalidate_range_end
        if end is not None and hashed(subscription):
            end(range)


@kernel_function("mm/mmu_notifier.c", label="invalidate_range_end")
def __mmu_notifier_invalidate_range_end(range: MmuNotifierRange) -> None:
    """End the invalidation of the intervals, then tell the list."""
    subscriptions = subscriptions_of(range.mm)
    if subscriptions.intervals:
        mn_itree_inv_end(subscriptions)
    if any(n.ops.invalidate_range_end for n in subscriptions.notifiers):
        srcu_read_lock(subscriptions.srcu)
        for subscription in subscriptions.notifiers:
            end = subscription.ops.invalidate_range_end
            if end is None or not hashed(subscription):
                continue
            if not range.blockable:
                non_block_start()
            end(range)
            if not range.blockable:
                non_block_end()
        srcu_read_unlock(subscriptions.srcu)


def hashed(subscription: MmuNotifier) -> bool:
    """Come to a notifier on the list, unless it is not on it (any more)."""
    if not subscription.hashed.read():
        return False
    subscription.memory.read()
    return True


@kernel_function("mm/mmu_notifier.c", label="mmu_notifier_register")
def mmu_notifier_register(subscription: MmuNotifier) -> None:
    """Put a notifier on the list; the caller has made sure that the process is alive."""
    mmap_write_lock(subscription.mm)
    subscriptions = subscriptions_of(subscription.mm)
    spin_lock(subscriptions.lock)
    subscription.hashed.write(True)
    spin_unlock(subscriptions.lock)
    mmap_write_unlock(subscription.mm)


@kernel_function("mm/mmu_notifier.c", label=lambda s: f"mmu_notifier_unregister({s})")
def mmu_notifier_unregister(subscription: MmuNotifier) -> None:
    """Release a notifier and take it off the list; when this returns nobody calls it any more."""
    subscriptions = subscriptions_of(subscription.mm)
    if subscription.hashed.read():
        srcu_read_lock(subscriptions.srcu)
        if subscription.ops.release is not None:
            subscription.ops.release()
        srcu_read_unlock(subscriptions.srcu)
        unhash(subscriptions, [subscription])
    synchronize_srcu(subscriptions.srcu)


@kernel_function("mm/mmu_notifier.c", label=lambda s: f"mmu_notifier_put({s})")
def mmu_notifier_put(subscription: MmuNotifier) -> None:
    """Drop the last reference: it leaves the list now, and is freed when nobody can see it."""
    subscriptions = subscriptions_of(subscription.mm)
    unhash(subscriptions, [subscription])
    if subscription.ops.free_notifier is not None:
        call_srcu(subscriptions.srcu, subscription.ops.free_notifier)


def unhash(subscriptions: NotifierSubscriptions, which: list[MmuNotifier]) -> None:
    """Take notifiers off the list."""
    spin_lock(subscriptions.lock)
    for subscription in which:
        subscription.hashed.write(False)
    spin_unlock(subscriptions.lock)


def mmu_notifier_release(mm: MmStruct) -> None:
    """A process ends: nobody may use its page tables any more."""
    if mm.notifiers is not None:
        __mmu_notifier_release(mm)


@kernel_function("mm/mmu_notifier.c", label="mmu_notifier_release")
def __mmu_notifier_release(mm: MmStruct) -> None:
    """Release all notifiers of a process whose last user has gone."""
    subscriptions = subscriptions_of(mm)
    if subscriptions.intervals:
        mn_itree_release(subscriptions, mm)
    if subscriptions.notifiers:
        mn_hlist_release(subscriptions)


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_hlist_release(subscriptions: NotifierSubscriptions) -> None:
    """Release each, and only then empty the list; wait until all who were called have returned."""
    srcu_read_lock(subscriptions.srcu)
    for subscription in subscriptions.notifiers:
        if subscription.ops.release is not None and hashed(subscription):
            subscription.ops.release()
    unhash(subscriptions, subscriptions.notifiers)
    srcu_read_unlock(subscriptions.srcu)
    synchronize_srcu(subscriptions.srcu)


def mmu_notifier_range(
    mm: MmStruct, start: int, end: int, event: MmuNotifyEvent, owner: str = ""
) -> MmuNotifierRange:
    """``mmu_notifier_range_init()``."""
    return MmuNotifierRange(mm, start, end, event, owner=owner)
