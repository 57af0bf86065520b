"""Collapsing pages into a huge one (``mm/khugepaged.c``).

The PMD entry is none from ``pmdp_collapse_flush()`` until the huge page is in its place, or the
page table is put back because a page could not be isolated. Here it always is put back: pages just
faulted in have a reference from a batch, which is reason enough, and huge pages are not modelled.
"""

from __future__ import annotations

from refault.explore import Violation, note
from refault.linux.asm.tlb import flush_tlb_mm
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Pmd, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.pgtable import ptep_get
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
    vma_start_write,
)
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.modelled import kernel_function


@kernel_function("mm/khugepaged.c")
def hpage_collapse_scan_pmd(vma: VmArea, address: int) -> bool:
    """Look whether all pages are there; userfaultfd must not lose a hole to a collapse."""
    mm = vma.vm_mm
    mmap_read_lock(mm)
    worth = ptep_get(mm.pte(address)).present
    mmap_read_unlock(mm)
    return worth and collapse_huge_page(vma)


@kernel_function("mm/khugepaged.c")
def collapse_huge_page(vma: VmArea) -> bool:
    """Take the page table away, with mmap_lock and the VMA lock held for writing, and back."""
    mm = vma.vm_mm
    mmap_write_lock(mm)
    vma_start_write(vma)
    range = MmuNotifierRange(mm, vma.vm_start, vma.vm_end, MmuNotifyEvent.CLEAR)
    mmu_notifier_invalidate_range_start(range)
    pmdp_collapse_flush(vma)
    note("PMD is clear")
    mmu_notifier_invalidate_range_end(range)
    put_back(mm)
    mmap_write_unlock(mm)
    return False


@kernel_function("mm/khugepaged.c", quiet=True)
def put_back(mm: MmStruct) -> None:
    """Put the page table back that was taken; nobody may have put another in its place."""
    spin_lock(mm.ptl)
    if not mm.pmd.update(_populate):
        raise Violation("BUG", "the PMD entry that khugepaged has emptied is not empty any more")
    spin_unlock(mm.ptl)


def _populate(pmd: Pmd | HugePmd) -> tuple[Pmd | HugePmd, bool]:
    return Pmd.TABLE, pmd is Pmd.NONE


@kernel_function("mm/pgtable-generic.c")
def pmdp_collapse_flush(vma: VmArea) -> None:
    """Make the PMD entry none and flush."""
    vma.vm_mm.pmd.write(Pmd.NONE)
    flush_tlb_mm(vma.vm_mm)
