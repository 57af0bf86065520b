"""``madvise(2)`` (``mm/madvise.c``).

A piece of advice for one mapping is followed under the lock of that VMA alone, unless it is
registered with a userfaultfd: then, or where the VMA is contended, under mmap_lock for reading.
Either goes on beside faults.
"""

from __future__ import annotations

from enum import Enum

from refault.explore import note, restart
from refault.linux.asm.tlb import flush_tlb_batched_pending
from refault.linux.fs.userfaultfd.events import userfaultfd_remove
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import change_folio, folio_of
from refault.linux.include.linux.pgtable import (
    NONE,
    ZERO_PFN,
    PteKind,
    PteMarker,
    make_pte_marker,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EINVAL, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
)
from refault.linux.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swapfile import swap_free
from refault.linux.modelled import kernel_function


class MadviseLock(Enum):
    """``enum madvise_lock_mode``."""

    NOTHING = "no lock"
    VMA_READ = "the lock of the VMA"
    MMAP_READ = "mmap_lock"


@kernel_function("mm/madvise.c", quiet=True)
def try_vma_read_lock(mm: MmStruct, address: int) -> VmArea | None:
    """Lock the VMA alone, if it is not registered with a userfaultfd; None to take mmap_lock."""
    if not lock_vma_under_rcu(mm, address):
        return None
    vma = mm.find_vma(address)
    assert vma is not None
    if not vma.uffd_ctx.read():
        return vma
    vma_end_read(vma)
    return None


@kernel_function("mm/madvise.c", quiet=True)
def madvise_lock(
    mm: MmStruct, address: int, *, whole: bool = False
) -> tuple[VmArea | None, MadviseLock]:
    """Lock for an advice; returns the VMA, if there is one, and what is held.

    An advice that is about the ``whole`` address space does not try with the lock of the VMA.
    """
    vma = None if whole else try_vma_read_lock(mm, address)
    if vma is not None:
        return vma, MadviseLock.VMA_READ
    mmap_read_lock(mm)
    return mm.find_vma(address), MadviseLock.MMAP_READ


@kernel_function("mm/madvise.c", quiet=True)
def madvise_unlock(mm: MmStruct, vma: VmArea | None, mode: MadviseLock) -> None:
    """Give the lock back."""
    if mode is MadviseLock.MMAP_READ:
        mmap_read_unlock(mm)
    elif vma is not None:
        vma_end_read(vma)


def _remove(vma: VmArea, address: int) -> bool:
    return userfaultfd_remove(vma, address, address + PAGE_SIZE)


@kernel_function("mm/madvise.c", label="madvise(MADV_DONTNEED)")
def madvise_dontneed_free(mm: MmStruct, address: int) -> int:
    """Drop a page; 0 or -errno.

    A monitor that asked for EVENT_REMOVE is told first, without the lock, so the VMA is looked up
    again after that.
    """
    vma, mode = madvise_lock(mm, address)
    if vma is not None and mode is MadviseLock.MMAP_READ and not _remove(vma, address):
        mmap_read_lock(mm)
        vma = mm.find_vma(address)
    if vma is not None:
        zap_page_range_single(vma, address)
    madvise_unlock(mm, vma, mode)
    return 0 if vma is not None else -ENOMEM


@kernel_function("mm/madvise.c", label="madvise(MADV_FREE)")
def madvise_free_single_vma(mm: MmStruct, address: int) -> int:
    """Let reclaim drop a page unless it is written again; 0 or -errno."""
    vma, mode = madvise_lock(mm, address)
    wrong = vma is None or vma.vm_file is not None
    if not wrong:
        range = MmuNotifierRange(mm, address, address + PAGE_SIZE, MmuNotifyEvent.CLEAR)
        tlb_gather_mmu(mm)
        mmu_notifier_invalidate_range_start(range)
        cleared = madvise_free_pte_range(mm, address)
        mmu_notifier_invalidate_range_end(range)
        tlb_finish_mmu(mm, address, address + PAGE_SIZE, cleared=cleared)
    madvise_unlock(mm, vma, mode)
    return -EINVAL if wrong else 0


@kernel_function("mm/madvise.c")
def madvise_free_pte_range(mm: MmStruct, address: int) -> bool:
    """Make the page clean and old by way of none; tells whether TLBs may know better."""
    if not pte_offset_map_lock(mm):
        return False
    flush_tlb_batched_pending(mm)
    ptep = mm.pte(address)
    pte = ptep_get(ptep)
    changed = False
    if pte.kind is PteKind.SWAP:
        ptep_get_and_clear(ptep)
        swap_free(pte.pfn)
    elif pte.present and pte.pfn != ZERO_PFN and folio_of(pte.pfn).mapcount == 1:
        changed = pte.young or pte.dirty
        if changed:
            pte = ptep_get_and_clear(ptep)
            note("PTE is clear")
            set_pte_at(ptep, pte._replace(young=False, dirty=False))
        change_folio(pte.pfn, swapbacked=False, dirty=False)
    pte_unmap_unlock(mm)
    return changed


@kernel_function("mm/madvise.c", label="madvise(MADV_GUARD_INSTALL)")
def madvise_guard_install(mm: MmStruct, address: int) -> int:
    """Put a guard where a page may be; what is there is zapped first. 0 or -errno."""
    vma, mode = madvise_lock(mm, address)
    if vma is not None:
        install_guard(vma, address)
    madvise_unlock(mm, vma, mode)
    return 0 if vma is not None else -ENOMEM


@kernel_function("mm/madvise.c", quiet=True)
def install_guard(vma: VmArea, address: int) -> None:
    """Walk and zap until the place is empty when the guard is set, beside faults that fill it.

    After three rounds the kernel goes back to user mode and makes the system call again.
    """
    while not _set_guard(vma.vm_mm, address):
        restart()
        zap_page_range_single(vma, address)


def _set_guard(mm: MmStruct, address: int) -> bool:
    if not pte_offset_map_lock(mm):
        return False
    pte = ptep_get(mm.pte(address))
    free = pte.none or pte.kind is PteKind.MARKER
    if free and not pte.marker & PteMarker.GUARD:
        set_pte_at(mm.pte(address), make_pte_marker(PteMarker.GUARD))
    pte_unmap_unlock(mm)
    return free


@kernel_function("mm/madvise.c", label="madvise(MADV_GUARD_REMOVE)")
def madvise_guard_remove(mm: MmStruct, address: int) -> int:
    """Take a guard away; 0 or -errno."""
    vma, mode = madvise_lock(mm, address)
    if vma is not None and pte_offset_map_lock(mm):
        pte = ptep_get(mm.pte(address))
        if pte.marker & PteMarker.GUARD:
            set_pte_at(mm.pte(address), NONE)
        pte_unmap_unlock(mm)
    madvise_unlock(mm, vma, mode)
    return 0 if vma is not None else -ENOMEM
