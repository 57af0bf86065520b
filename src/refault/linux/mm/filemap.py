"""How faults wait for folios (``mm/filemap.c``, ``include/linux/pagemap.h``).

The lock of a folio itself is in ``folio_lock.py``. A fault that has to wait for a folio drops its
lock first where it may: on the first attempt of one that can be retried. It then says RETRY,
whatever has become of the folio. Otherwise it waits with the fault lock held. Of a fault that is
KILLABLE a fatal signal ends either wait, and no other signal does: INTERRUPTIBLE is not looked at.
"""

from __future__ import annotations

from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, fault_flag_allow_retry_first
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.mm.folio_lock import (
    folio_lock,
    folio_lock_killable,
    folio_put_wait_locked,
    folio_trylock,
    folio_unlock,
    folio_wait_locked,
    folio_wait_locked_killable,
    migration_entry_wait_on_locked,
)
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.modelled import kernel_function

__all__ = [
    "__folio_lock_or_retry",
    "balance_dirty_pages_ratelimited",
    "folio_lock",
    "folio_lock_killable",
    "folio_lock_or_retry",
    "folio_put_wait_locked",
    "folio_trylock",
    "folio_unlock",
    "folio_wait_locked",
    "folio_wait_locked_killable",
    "maybe_unlock_mmap_for_io",
    "migration_entry_wait_on_locked",
]


@kernel_function("mm/filemap.c", label="folio_lock_or_retry")
def __folio_lock_or_retry(pfn: int, vmf: VmFaultInfo) -> VmFault:
    """Take the lock of a folio that was just seen locked, or say RETRY.

    Without NOWAIT the fault lock has been dropped when it says so, for whatever reason. Whether a
    wait was cut short nobody asks: who retries finds out.
    """
    killable = bool(vmf.flags & FaultFlag.KILLABLE)
    if fault_flag_allow_retry_first(vmf.flags):
        if vmf.flags & FaultFlag.RETRY_NOWAIT:
            return VmFault.RETRY
        release_fault_lock(vmf)
        if killable:
            folio_wait_locked_killable(pfn)
        else:
            folio_wait_locked(pfn)
        return VmFault.RETRY
    if not killable:
        folio_lock(pfn)
    elif folio_lock_killable(pfn):
        release_fault_lock(vmf)
        return VmFault.RETRY
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
