"""The lock of a folio, with waiters that are killed."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.page import Folio
from refault.linux.include.uapi.signal import SIGKILL
from refault.linux.memory import BOOT_CPU
from refault.linux.mm.folio_lock import (
    folio_lock,
    folio_lock_killable,
    folio_trylock,
    folio_unlock,
)
from refault.scenarios.api import scenario

NESTEROV = (
    "LKML 2020-06-24, Oleg Nesterov: wait_on_page_bit_common(TASK_KILLABLE, EXCLUSIVE) can miss "
    "wakeup?"
)


def _waiters(k: Kernel, *, killed: bool, passers_by: int) -> None:
    """One waits for the lock killably, one uninterruptibly; others take it if it is free."""
    k.folio_wait_table()
    process = k.mm()
    pfn = k.add_frame(BOOT_CPU, Folio())

    @k.thread(process=process)
    def faulting() -> None:
        k.syscall(lock_killably)

    def lock_killably() -> None:
        if folio_lock_killable(pfn) == 0:
            folio_unlock(pfn)

    @k.thread
    def waiter() -> None:
        folio_lock(pfn)
        folio_unlock(pfn)

    def pass_by() -> None:
        if folio_trylock(pfn):
            folio_unlock(pfn)

    for number in range(passers_by):
        k.thread(name=f"reclaim{number or ''}")(pass_by)
    if killed:

        @k.thread
        def killer() -> None:
            k.kill(faulting, SIGKILL)


@scenario(source=NESTEROV, expect={"": "holds", "without page_wait_rewrite": "holds"})
def folio_lock_wakes_in_turn(k: Kernel) -> None:
    """Whoever waits for a folio lock gets it, if nobody who waits is killed."""
    _waiters(k, killed=False, passers_by=2)


@scenario(
    source=NESTEROV,
    expect={
        "": "lost wakeup",
        "with folio_lock_takes_its_wakeup": "holds",
        "without page_lock_unfairness": "holds",
        "without page_wait_rewrite": "holds",
        "without page_wait_rewrite, without page_wait_lock_first": "lost wakeup",
    },
)
def folio_lock_killed_waiter(k: Kernel) -> None:
    """A waiter that is killed passes the lock on, or the wake-up that was meant for it.

    It does not. The killed task has seen the signal and is about to leave the queue when it is
    woken, exclusively: it takes neither the lock, for it was not handed over, nor puts the wake-up
    back, and the next waiter sleeps on beside a free folio, uninterruptibly, until somebody
    happens to lock it again.
    """
    _waiters(k, killed=True, passers_by=1)


@scenario(
    source=NESTEROV,
    expect={
        "": "lost wakeup",
        "without page_lock_unfairness": "holds",
        "without page_lock_unfairness, without page_wait_rewrite": "lost wakeup",
    },
)
def folio_lock_killed_too_late(k: Kernel) -> None:
    """The killed waiter of the mail: it never slept, and found the lock gone again.

    Since then whoever wakes a waiter hands the lock to it, so that a wake-up is never in vain; that
    was given up in part with ``page_lock_unfairness``, where any killed waiter will do.
    """
    _waiters(k, killed=True, passers_by=2)
