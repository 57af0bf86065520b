"""Moving a mapping (``mm/mremap.c``).

The new VMA is made, the entries are moved one by one, and the old VMA is unmapped. An entry is
none at its old place before it is at the new one; what the TLBs know of the old place is flushed
before the page-table lock is dropped, for from then on the page can be taken away by way of its new
place, and that flushes only there.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.asm.tlb import flush_tlb_batched_pending, flush_tlb_mm_range
from refault.linux.fs.userfaultfd.events import (
    mremap_userfaultfd_complete,
    mremap_userfaultfd_prep,
    userfaultfd_unmap_complete,
)
from refault.linux.include.linux.mm_types import MmStruct, VmArea, VmSpan
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.pgtable import ptep_get, ptep_get_and_clear, set_pte_at
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.vma import detach_range, vm_area_dup, vma_link, vms_complete_munmap_vmas
from refault.linux.modelled import kernel_function


@kernel_function("mm/mremap.c", label="mremap")
def do_mremap(mm: MmStruct, old: int, new: int, length: int) -> int:
    """``mremap(2)`` with MREMAP_FIXED to addresses where nothing is; returns the new one."""
    mmap_write_lock(mm)
    vma = mm.find_vma(old)
    if vma is None:
        mmap_write_unlock(mm)
        return -EFAULT
    moved = copy_vma_and_data(vma, old, new, length)
    ctx = mremap_userfaultfd_prep(moved)
    parts, unmaps = detach_range(mm, old, old + length)
    vms_complete_munmap_vmas(parts)
    mmap_write_unlock(mm)
    mremap_userfaultfd_complete(ctx, old, new, length)
    userfaultfd_unmap_complete(unmaps)
    return new


@kernel_function("mm/mremap.c", quiet=True)
def copy_vma_and_data(vma: VmArea, old: int, new: int, length: int) -> VmArea:
    """Make the new VMA and move the entries to it."""
    vma_start_write(vma)
    moved = vm_area_dup(vma, vma.vm_mm)
    span = vma.span.read()
    assert span is not None
    pgoff = span.pgoff + (old - span.start) // PAGE_SIZE
    vma_link(moved, VmSpan(new, new + length, pgoff))
    range = MmuNotifierRange(vma.vm_mm, old, old + length, MmuNotifyEvent.UNMAP)
    mmu_notifier_invalidate_range_start(range)
    move_ptes(vma.vm_mm, old, new, length)
    mmu_notifier_invalidate_range_end(range)
    return moved


@kernel_function("mm/mremap.c")
def move_ptes(mm: MmStruct, old: int, new: int, length: int) -> None:
    """Move the entries of a page table, and flush the old place if there was a page."""
    if not pte_offset_map_lock(mm):
        return
    flush_tlb_batched_pending(mm)
    present = False
    for offset in range(0, length, PAGE_SIZE):
        present = _move_pte(mm, old + offset, new + offset) or present
    if present:
        flush_and_unlock(mm, old, old + length)
    else:
        pte_unmap_unlock(mm)


def _move_pte(mm: MmStruct, old: int, new: int) -> bool:
    if ptep_get(mm.pte(old)).none:
        return False
    pte = ptep_get_and_clear(mm.pte(old))
    note("PTE is clear")
    set_pte_at(mm.pte(new), pte)
    return pte.present


@kernel_function("mm/mremap.c", quiet=True)
def flush_and_unlock(mm: MmStruct, start: int, end: int) -> None:
    """Flush the old place while its page cannot be taken away from the new one yet."""
    flush_tlb_mm_range(mm, start, end)
    pte_unmap_unlock(mm)
