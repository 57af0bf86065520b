"""The folio lock (``mm/filemap.c``, ``include/linux/pagemap.h``), and how faults wait for it.

A fault that has to wait for a folio drops its lock first where it may: on the first attempt of one
that can be retried. It then says RETRY, whatever has become of the folio. Otherwise it waits with
the fault lock held.
"""

from __future__ import annotations

from refault.explore import BLOCKED, Blocked, Violation, current_task
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, fault_flag_allow_retry_first
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import frame
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.mm.mmap_lock import release_fault_lock
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


@kernel_function("mm/filemap.c", label=lambda pfn: "folio_wait_locked")
def folio_wait_locked(pfn: int) -> None:
    """Sleep until the folio is unlocked, and do not take the lock."""
    might_sleep("folio_wait_locked()")
    frame(pfn).lock.wait(_unlocked)


@kernel_function("mm/filemap.c", label="folio_lock_or_retry")
def __folio_lock_or_retry(pfn: int, vmf: VmFaultInfo) -> VmFault:
    """Take the lock of a folio that was just seen locked, or say RETRY.

    Without NOWAIT the fault lock has been dropped when it says so.
    """
    if fault_flag_allow_retry_first(vmf.flags):
        if vmf.flags & FaultFlag.RETRY_NOWAIT:
            return VmFault.RETRY
        release_fault_lock(vmf)
        folio_wait_locked(pfn)
        return VmFault.RETRY
    folio_lock(pfn)
    return VmFault.NONE


@kernel_function("include/linux/pagemap.h", quiet=True)
def folio_lock_or_retry(pfn: int, vmf: VmFaultInfo) -> VmFault:
    """Take the folio lock in a fault; returns nothing with the lock, or RETRY without it."""
    return VmFault.NONE if folio_trylock(pfn) else __folio_lock_or_retry(pfn, vmf)


@kernel_function("mm/internal.h", quiet=True)
def maybe_unlock_mmap_for_io(vmf: VmFaultInfo, dropped: bool = False) -> bool:
    """Drop the fault lock before a long wait, where the fault may be retried; tells whether.

    The kernel pins the file meanwhile; here files do not go away.
    """
    if dropped:
        return True
    if not fault_flag_allow_retry_first(vmf.flags) or vmf.flags & FaultFlag.RETRY_NOWAIT:
        return False
    release_fault_lock(vmf)
    return True


@kernel_function("mm/page-writeback.c", label=lambda file: "balance_dirty_pages")
def balance_dirty_pages_ratelimited(file: File) -> None:
    """Wait, as a writer that dirties pages faster than they are written back."""
    if file.congested is not None:
        file.congested.wait(_is_over)


def _is_over(congested: bool) -> bool:
    return not congested
