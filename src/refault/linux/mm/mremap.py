"""Moving a mapping (``mm/mremap.c``).

The new VMA is made, the entries are moved one by one, and the old VMA is unmapped. An entry is
none at its old place before it is at the new one; what the TLBs know of the old place is flushed
before the page-table lock is dropped, for from then on the page can be taken away by way of its new
place, and that flushes only there.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import note
from refault.linux.asm.tlb import flush_tlb_batched_pending, flush_tlb_mm_range
from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx
from refault.linux.fs.userfaultfd.events import (
    Unmapped,
    mremap_userfaultfd_complete,
    mremap_userfaultfd_fail,
    mremap_userfaultfd_prep,
    userfaultfd_unmap_complete,
)
from refault.linux.include.linux.mm_types import MmStruct, VmArea, VmSpan
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.pgtable import (
    NONE,
    PteMarker,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EFAULT, EINVAL
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.vma import (
    detach_range,
    vm_area_dup,
    vma_link,
    vmas_in,
    vms_complete_munmap_vmas,
)
from refault.linux.mm.vma_merge import Like, vma_merge_new_range
from refault.linux.modelled import kernel_function


class Moved(NamedTuple):
    """How far a move has come: -errno, what was moved last, and who is to be told of what.

    ``early`` are mappings that were in the way, ``late`` those that were moved.
    """

    err: int = 0
    old: int = 0
    new: int = 0
    length: int = 0
    ctx: UserfaultfdCtx | None = None
    early: tuple[Unmapped, ...] = ()
    late: tuple[Unmapped, ...] = ()


@kernel_function("mm/mremap.c", label="mremap")
def do_mremap(mm: MmStruct, old: int, new: int, length: int, *, keep: bool = False) -> int:
    """``mremap(2)`` with MREMAP_FIXED; returns the new address, or -errno.

    What is at the new place is unmapped. To ``keep`` is MREMAP_DONTUNMAP: the old mapping stays,
    empty. Mappings that follow each other move together, gaps and all, unless they are registered.
    """
    if old < new + length and new < old + length:
        return -EINVAL
    mmap_write_lock(mm)
    moved = remap_move(mm, old, new, length, keep)
    mmap_write_unlock(mm)
    userfaultfd_unmap_complete(moved.early)
    if moved.err:
        mremap_userfaultfd_fail(moved.ctx)
    else:
        mremap_userfaultfd_complete(moved.ctx, moved.old, moved.new, moved.length)
    userfaultfd_unmap_complete(moved.late)
    return moved.err or new


@kernel_function("mm/mremap.c", quiet=True)
def remap_move(mm: MmStruct, old: int, new: int, length: int, keep: bool) -> Moved:
    """Move VMA after VMA; what was moved before an error stays where it is now."""
    moved = Moved(err=-EFAULT)
    end = old + length
    for number, (start, last) in enumerate(_spans(mm, old, end)):
        if not number and old < start:
            return moved
        vma = mm.find_vma(max(old, start))
        assert vma is not None
        if vma.uffd_ctx.read() and (number or last < end):
            return moved._replace(err=-EFAULT)
        first = max(old, start)
        moved = mremap_to(mm, moved, first, new + first - old, min(end, last) - first, keep)
    return moved


def _spans(mm: MmStruct, start: int, end: int) -> list[tuple[int, int]]:
    return [(vma.covered().start, vma.covered().end) for vma in vmas_in(mm, start, end)]


@kernel_function("mm/mremap.c", quiet=True)
def mremap_to(mm: MmStruct, before: Moved, old: int, new: int, length: int, keep: bool) -> Moved:
    """Unmap what is at the new place, and move a part of one VMA there."""
    parts, early = detach_range(mm, new, new + length)
    vms_complete_munmap_vmas(parts)
    vma = mm.find_vma(old)
    assert vma is not None
    vma, there = copy_vma_and_data(vma, old, new, length)
    ctx = mremap_userfaultfd_prep(there)
    late: tuple[Unmapped, ...] = ()
    if not keep:
        parts, late = detach_range(mm, old, old + length)
        vms_complete_munmap_vmas(parts)
    elif there is not vma and vma.covered() == VmSpan(old, old + length, vma.covered().pgoff):
        vma.anon_vma.write(0)
    return Moved(0, old, new, length, ctx, (*before.early, *early), (*before.late, *late))


@kernel_function("mm/vma.c", quiet=True)
def copy_vma(vma: VmArea, old: int, new: int, length: int) -> tuple[VmArea, VmArea]:
    """Make a mapping like a part of another, or let a neighbour grow; returns the two.

    Memory that has never been touched is as if it had been mapped at the new place, so that it can
    be joined with what is there; even with itself, and then the old mapping is another.
    """
    mm, span, anon_vma = vma.vm_mm, vma.covered(), vma.anon_vma.read()
    pgoff = span.pgoff + (old - span.start) // PAGE_SIZE
    if vma.vm_file is None and not anon_vma:
        pgoff = new // PAGE_SIZE
    there = VmSpan(new, new + length, pgoff)
    like = Like(vma.vm_flags.read(), vma.uffd_ctx.read(), anon_vma, vma.vm_file)
    merged = vma_merge_new_range(mm, there, like)
    if merged is None:
        fresh = vm_area_dup(vma, mm)
        vma_link(fresh, there)
        return vma, fresh
    bounds = merged.covered()
    return (merged if bounds.start <= span.start < bounds.end else vma), merged


@kernel_function("mm/mremap.c", quiet=True)
def copy_vma_and_data(vma: VmArea, old: int, new: int, length: int) -> tuple[VmArea, VmArea]:
    """Make the new VMA and move the entries to it; returns the old one and the new one."""
    vma_start_write(vma)
    vma, moved = copy_vma(vma, old, new, length)
    range = MmuNotifierRange(vma.vm_mm, old, old + length, MmuNotifyEvent.UNMAP)
    mmu_notifier_invalidate_range_start(range)
    move_ptes(vma, old, new, length)
    mmu_notifier_invalidate_range_end(range)
    return vma, moved


@kernel_function("include/linux/userfaultfd_k.h", quiet=True)
def vma_has_uffd_without_event_remap(vma: VmArea) -> bool:
    """Tell whether a mapping loses its userfaultfd, and its write-protection, where it moves."""
    ctx = vma.ctx
    return ctx is not None and not ctx.features.read() & UffdFeature.EVENT_REMAP


@kernel_function("mm/mremap.c")
def move_ptes(vma: VmArea, old: int, new: int, length: int) -> None:
    """Move the entries of a page table, and flush the old place if there was a page."""
    mm, clear_wp = vma.vm_mm, vma_has_uffd_without_event_remap(vma)
    if not pte_offset_map_lock(mm):
        return
    flush_tlb_batched_pending(mm)
    present = False
    for offset in range(0, length, PAGE_SIZE):
        present = _move_pte(mm, old + offset, new + offset, clear_wp) or present
    if present:
        flush_and_unlock(mm, old, old + length)
    else:
        pte_unmap_unlock(mm)


def _move_pte(mm: MmStruct, old: int, new: int, clear_wp: bool) -> bool:
    if ptep_get(mm.pte(old)).none:
        return False
    pte = ptep_get_and_clear(mm.pte(old))
    note("PTE is clear")
    if clear_wp:
        pte = NONE if pte.marker & PteMarker.UFFD_WP else pte._replace(uffd_wp=False)
    set_pte_at(mm.pte(new), pte)
    return pte.present


@kernel_function("mm/mremap.c", quiet=True)
def flush_and_unlock(mm: MmStruct, start: int, end: int) -> None:
    """Flush the old place while its page cannot be taken away from the new one yet."""
    flush_tlb_mm_range(mm, start, end)
    pte_unmap_unlock(mm)
