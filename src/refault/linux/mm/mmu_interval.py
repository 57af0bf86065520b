"""Interval notifiers (``mm/mmu_notifier.c``).

Who has looked a page up in the CPU's page table asks, under the lock that his callback takes,
whether the sequence still is what it was before he looked. If it is, no callback has come since,
and the next one has to wait for the lock. The tree is only changed while nothing is invalidated,
so that it can be walked without its lock, and who takes an interval out waits for that.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import Violation, atomic, current_task, restart
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import (
    IntervalSeq,
    MmuIntervalNotifier,
    MmuNotifierRange,
    MmuNotifyEvent,
    NotifierSubscriptions,
    SubscriptionsSeq,
    subscriptions_of,
)
from refault.linux.include.linux.sched import TASK_NORMAL, TASK_UNINTERRUPTIBLE
from refault.linux.include.uapi.errno import EAGAIN
from refault.linux.kernel.locking.lockdep import might_sleep
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.kernel.sched.core import schedule
from refault.linux.kernel.sched.wait import ANY, Until, __wake_up
from refault.linux.kernel.sched.wait_event import DEFINE_WAIT, finish_wait, prepare_to_wait
from refault.linux.modelled import kernel_function


def _up(active: int) -> tuple[int, None]:
    return active + 1, None


def _down(active: int) -> tuple[int, int]:
    if not active:
        raise Violation("BUG", "an invalidation ends that never began")
    return active - 1, active - 1


def _begin(seq: SubscriptionsSeq) -> tuple[SubscriptionsSeq, None]:
    return seq._replace(odd=True), None


def _more(seq: SubscriptionsSeq) -> tuple[SubscriptionsSeq, None]:
    return SubscriptionsSeq(), None


def _is_odd(seq: SubscriptionsSeq) -> bool:
    return seq.odd


def _watch(seq: SubscriptionsSeq, task: str) -> tuple[SubscriptionsSeq, None]:
    return seq._replace(watchers=tuple(sorted({*seq.watchers, task}))), None


def _changed(seq: SubscriptionsSeq, task: str) -> bool:
    return task not in seq.watchers


def _past(seq: IntervalSeq) -> tuple[IntervalSeq, None]:
    return seq._replace(current=False), None


def _set(seq: IntervalSeq) -> tuple[IntervalSeq, None]:
    """Take the current one; a second invalidation beside the first has the same."""
    return (seq if seq.current else IntervalSeq(current=True)), None


def _look(seq: IntervalSeq, task: str) -> tuple[IntervalSeq, bool]:
    return seq._replace(unchanged=tuple(sorted({*seq.unchanged, task}))), seq.current


def _was_told(seq: IntervalSeq, task: str) -> bool:
    return task not in seq.unchanged


def _ask(seq: IntervalSeq, task: str) -> tuple[IntervalSeq, bool]:
    left = tuple(reader for reader in seq.unchanged if reader != task)
    return seq._replace(unchanged=left), task not in seq.unchanged


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_itree_inv_start_range(subscriptions: NotifierSubscriptions, range: MmuNotifierRange) -> bool:
    """Count an invalidation; tells whether it hits an interval."""
    spin_lock(subscriptions.lock)
    subscriptions.active.update(_up)
    hit = any(i.in_tree.read() for i in subscriptions.intervals if i.overlaps(range))
    if hit:
        subscriptions.invalidate_seq.update(_begin)
    spin_unlock(subscriptions.lock)
    return hit


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_itree_invalidate(subscriptions: NotifierSubscriptions, range: MmuNotifierRange) -> int:
    """Tell the intervals that the range meets; -EAGAIN, and it is over, where one had to wait."""
    if not mn_itree_inv_start_range(subscriptions, range):
        return 0
    for interval in subscriptions.intervals:
        if not (interval.overlaps(range) and interval.in_tree.read()):
            continue
        interval.memory.read()
        if not interval.invalidate(range):
            if range.blockable:
                raise Violation("BUG", f"{interval} refuses an invalidation that may sleep")
            mn_itree_inv_end(subscriptions)
            return -EAGAIN
    return 0


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_itree_inv_end(subscriptions: NotifierSubscriptions) -> None:
    """End an invalidation; with the last one the sequence goes on and the tree may change."""
    spin_lock(subscriptions.lock)
    last = not subscriptions.active.update(_down) and mn_itree_is_invalidating(subscriptions)
    if last:
        _advance(subscriptions)
        for interval in subscriptions.intervals:
            if interval.deferred.read():
                _do_deferred(interval)
    spin_unlock(subscriptions.lock)
    if last:
        __wake_up(subscriptions.wq, TASK_NORMAL, 0, ANY)


def _advance(subscriptions: NotifierSubscriptions) -> None:
    """Move the sequence on, in one write: no interval has the current one any more."""
    with atomic():
        subscriptions.invalidate_seq.update(_more)
        for interval in subscriptions.intervals:
            interval.invalidate_seq.update(_past)


def _do_deferred(interval: MmuIntervalNotifier) -> None:
    interval.memory.read()
    interval.deferred.write(False)
    interval.in_tree.write(not interval.in_tree.read())


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_itree_is_invalidating(subscriptions: NotifierSubscriptions) -> bool:
    """Tell whether an interval is being invalidated."""
    return subscriptions.invalidate_seq.peek(_is_odd)


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mn_itree_release(subscriptions: NotifierSubscriptions, mm: MmStruct) -> None:
    """Invalidate all there is, for good."""
    range = MmuNotifierRange(mm, 0, 1 << 63, MmuNotifyEvent.RELEASE)
    if mn_itree_inv_start_range(subscriptions, range):
        for interval in subscriptions.intervals:
            if interval.in_tree.read():
                interval.memory.read()
                interval.invalidate(range)
    mn_itree_inv_end(subscriptions)


@kernel_function("mm/mmu_notifier.c", label=lambda i: f"mmu_interval_read_begin({i})")
def mmu_interval_read_begin(interval: MmuIntervalNotifier) -> None:
    """Remember the sequence of the interval, and wait until it is not being invalidated."""
    subscriptions = subscriptions_of(interval.mm)
    spin_lock(subscriptions.lock)
    invalidating = interval.invalidate_seq.update(_look, current_task())
    if invalidating:
        subscriptions.invalidate_seq.update(_watch, current_task())
    spin_unlock(subscriptions.lock)
    if invalidating:
        _wait(subscriptions, seq_has_changed)


Condition = Callable[[NotifierSubscriptions], bool]


def _wait(subscriptions: NotifierSubscriptions, released: Condition) -> None:
    """``wait_event()`` for the end of the invalidation that the task has seen."""
    might_sleep(f"wait_event({subscriptions.wq})")
    if released(subscriptions):
        return
    until = Until(subscriptions.invalidate_seq, _changed, (current_task(),))
    entry = DEFINE_WAIT(until=until)
    while True:
        restart()
        prepare_to_wait(subscriptions.wq, entry, TASK_UNINTERRUPTIBLE)
        if released(subscriptions):
            break
        schedule()
    finish_wait(subscriptions.wq, entry)


@kernel_function("mm/mmu_notifier.c", quiet=True)
def mmu_interval_seq_released(subscriptions: NotifierSubscriptions) -> bool:
    """Tell whether the invalidation has ended, and all that had been put off until then is done."""
    spin_lock(subscriptions.lock)
    released = seq_has_changed(subscriptions)
    spin_unlock(subscriptions.lock)
    return released


@kernel_function("include/linux/mmu_notifier.h", quiet=True)
def seq_has_changed(subscriptions: NotifierSubscriptions) -> bool:
    """Tell whether the sequence is another than the one that the task has seen."""
    return subscriptions.invalidate_seq.peek(_changed, current_task())


@kernel_function("include/linux/mmu_notifier.h", quiet=True)
def mmu_interval_set_seq(interval: MmuIntervalNotifier) -> None:
    """What a callback does with the sequence that it is given, under the lock of its owner."""
    interval.invalidate_seq.update(_set)


@kernel_function("include/linux/mmu_notifier.h", quiet=True)
def mmu_interval_read_retry(interval: MmuIntervalNotifier) -> bool:
    """Tell, under that lock, whether the range was invalidated since ``read_begin()``."""
    return interval.invalidate_seq.update(_ask, current_task())


@kernel_function("include/linux/mmu_notifier.h", quiet=True)
def mmu_interval_check_retry(interval: MmuIntervalNotifier) -> bool:
    """The same without the lock, for who would rather not go on in vain."""
    return interval.invalidate_seq.peek(_was_told, current_task())


@kernel_function("mm/mmu_notifier.c", label=lambda i: f"mmu_interval_notifier_insert({i})")
def mmu_interval_notifier_insert(interval: MmuIntervalNotifier) -> None:
    """Begin to be told; what was looked up before does not count."""
    subscriptions = subscriptions_of(interval.mm)
    spin_lock(subscriptions.lock)
    if not subscriptions.active.read():
        interval.invalidate_seq.write(IntervalSeq())
        interval.in_tree.write(True)
    else:
        if mn_itree_is_invalidating(subscriptions):
            interval.deferred.write(True)
        else:
            subscriptions.invalidate_seq.update(_begin)
            interval.in_tree.write(True)
        interval.invalidate_seq.write(IntervalSeq(current=True))
    spin_unlock(subscriptions.lock)


@kernel_function("mm/mmu_notifier.c", label=lambda i: f"mmu_interval_notifier_remove({i})")
def mmu_interval_notifier_remove(interval: MmuIntervalNotifier) -> None:
    """Be told no more; when this returns the interval may be freed.

    It may sleep until an invalidation ends, so it is not for callbacks, nor for who holds a lock
    that one of them takes.
    """
    subscriptions = subscriptions_of(interval.mm)
    might_sleep(f"mmu_interval_notifier_remove({interval})")
    wait = False
    spin_lock(subscriptions.lock)
    if not mn_itree_is_invalidating(subscriptions):
        interval.in_tree.write(False)
    elif not interval.in_tree.read():
        interval.deferred.write(False)
    else:
        interval.deferred.write(True)
        subscriptions.invalidate_seq.update(_watch, current_task())
        wait = True
    spin_unlock(subscriptions.lock)
    if wait:
        _wait(subscriptions, mmu_interval_seq_released)
