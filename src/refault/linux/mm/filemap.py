"""The folio lock (``mm/filemap.c``, ``include/linux/pagemap.h``)."""

from __future__ import annotations

from refault.explore import BLOCKED, Blocked, Violation, current_task
from refault.linux.include.linux.page import frame
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.modelled import kernel_function


def _trylock(owner: str | None, task: str) -> tuple[str | None, bool]:
    return (task, True) if owner is None else (owner, False)


def _lock(owner: str | None, task: str) -> tuple[str | None, None] | Blocked:
    return BLOCKED if owner else (task, None)


def _unlock(owner: str | None, task: str) -> tuple[str | None, None]:
    if owner != task:
        raise Violation("lock imbalance", f"{task} unlocks a folio of {owner or 'nobody'}")
    return None, None


def _unlocked(owner: str | None) -> bool:
    return owner is None


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_trylock")
def folio_trylock(pfn: int) -> bool:
    """Take the lock bit if it is free."""
    taken = frame(pfn).lock.update(_trylock, current_task())
    if taken:
        lock_acquire(f"the folio lock of page {pfn}")
    return taken


@kernel_function("include/linux/pagemap.h", label=lambda pfn: "folio_lock")
def folio_lock(pfn: int) -> None:
    """Take the lock bit, sleeping uninterruptibly if need be."""
    might_sleep("folio_lock()")
    frame(pfn).lock.update(_lock, current_task())
    lock_acquire(f"the folio lock of page {pfn}")


@kernel_function("mm/filemap.c", label=lambda pfn: "folio_unlock")
def folio_unlock(pfn: int) -> None:
    """Clear the lock bit and wake whoever waits for it."""
    frame(pfn).lock.update(_unlock, current_task())
    lock_release(f"the folio lock of page {pfn}")


@kernel_function("mm/filemap.c", label=lambda pfn: "migration_entry_wait_on_locked")
def migration_entry_wait_on_locked(pfn: int) -> None:
    """Sleep uninterruptibly, without a reference, until the folio of an entry is unlocked."""
    might_sleep("migration_entry_wait_on_locked()")
    frame(pfn).lock.wait(_unlocked)
