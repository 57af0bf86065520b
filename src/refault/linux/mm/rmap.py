"""Unmapping a folio wherever it is mapped (``mm/rmap.c``).

These writers come from the side of the page, not of the address space: they hold the folio lock
and the page-table lock, and **no mmap_lock and no VMA lock**. So nothing that a fault holds keeps
them out. Both write none first, and then the entry that stands for the page.
"""

from __future__ import annotations

from collections.abc import Iterator

from refault.explore import note
from refault.linux.asm.tlb import set_tlb_ubc_flush_pending
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    change_folio,
    folio_of,
    folio_put,
    folio_remove_rmap_pte,
)
from refault.linux.include.linux.pgtable import (
    NONE,
    Pte,
    PteKind,
    ptep_clear_flush,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock_rmap, pte_unmap_unlock
from refault.linux.mm.swapfile import swap_duplicate
from refault.linux.modelled import kernel_function

LAZYFREE = -1
"""In place of a slot: the page needs none, for it was given up by MADV_FREE."""


@kernel_function("mm/page_vma_mapped.c", quiet=True)
def page_vma_mapped_walk(mm: MmStruct, address: int, pfn: int) -> bool:
    """Take the page-table lock if the folio is mapped at ``address``."""
    if not pte_offset_map_lock_rmap(mm):
        return False
    pte = ptep_get(mm.pte(address))
    if (pte.present or pte.kind is PteKind.DEVICE) and pte.pfn == pfn:
        return True
    pte_unmap_unlock(mm)
    return False


def rmap_walk(mm: MmStruct, address: int) -> Iterator[tuple[MmStruct, int]]:
    """Yield where the folio that is mapped at ``address`` of ``mm`` may be mapped, by its index.

    The kernel starts from the folio (``folio->index``) and finds the VMAs in an interval tree, in
    the order in which they were made; here the index comes from the VMA at the address.
    """
    index = _index(mm, address)
    for owner in mm.family:
        for vma in owner.vmas:
            span = vma.span.read() if vma.vm_file is None else None
            if span and 0 <= index - span.pgoff < (span.end - span.start) // PAGE_SIZE:
                yield owner, span.start + (index - span.pgoff) * PAGE_SIZE


def _index(mm: MmStruct, address: int) -> int:
    vma = mm.find_vma(address)
    span = vma.span.read() if vma else None
    return span.pgoff + (address - span.start) // PAGE_SIZE if span else address // PAGE_SIZE


@kernel_function("mm/rmap.c", quiet=True)
def try_to_migrate(mm: MmStruct, address: int, pfn: int) -> bool:
    """Put migration entries in the place of all mappings; tells whether there was one."""
    found = [try_to_migrate_one(m, a, pfn) for m, a in rmap_walk(mm, address)]
    return any(found)


@kernel_function("mm/rmap.c", quiet=True)
def try_to_unmap(mm: MmStruct, address: int, pfn: int, slot: int) -> bool:
    """Put swap entries in the place of all mappings; tells whether there was one."""
    found = [try_to_unmap_one(m, a, pfn, slot) for m, a in rmap_walk(mm, address)]
    return any(found)


def _replace(mm: MmStruct, address: int, pfn: int, entry: Pte) -> None:
    """Write the entry that stands for the mapping; the walk holds the page-table lock."""
    set_pte_at(mm.pte(address), entry)
    folio_remove_rmap_pte(pfn)
    folio_put(pfn)
    pte_unmap_unlock(mm)


def _discard(mm: MmStruct, address: int, pfn: int, old: Pte) -> bool:
    """Drop a page that MADV_FREE has given up, or map it again if it was written or is in use."""
    if old.dirty:
        change_folio(pfn, dirty=True)
    if lazyfree_may_go(pfn):
        _replace(mm, address, pfn, NONE)
        return True
    if folio_of(pfn).dirty:
        change_folio(pfn, swapbacked=True)
    set_pte_at(mm.pte(address), old)
    pte_unmap_unlock(mm)
    return False


@kernel_function("mm/rmap.c", quiet=True)
def lazyfree_may_go(pfn: int) -> bool:
    """Tell whether a page may be dropped whose PTE is clear by now, so that nobody else finds it.

    Not if it was written since it was given up, nor if somebody has a reference besides reclaim
    and the mapping: a device may write to the page by it, and says so only when it is done.
    """
    folio = folio_of(pfn)
    return not folio.dirty and folio.refcount == 1 + folio.mapcount


@kernel_function("mm/rmap.c")
def try_to_migrate_one(mm: MmStruct, address: int, pfn: int) -> bool:
    """Put a migration entry in the place of the mapping; the caller holds the folio lock."""
    range = MmuNotifierRange(mm, address, address + PAGE_SIZE, MmuNotifyEvent.CLEAR)
    mmu_notifier_invalidate_range_start(range)
    migrated = _migrate_one(mm, address, pfn)
    mmu_notifier_invalidate_range_end(range)
    return migrated


def _migrate_one(mm: MmStruct, address: int, pfn: int) -> bool:
    if not page_vma_mapped_walk(mm, address, pfn):
        return False
    exclusive = PageAnonExclusive(pfn)
    old = ptep_clear_flush(mm.pte(address))
    note("PTE is clear")
    entry = old._replace(kind=PteKind.MIGRATION, protnone=False, exclusive=exclusive)
    _replace(mm, address, pfn, entry)
    return True


@kernel_function("mm/rmap.c")
def try_to_unmap_one(mm: MmStruct, address: int, pfn: int, slot: int) -> bool:
    """Put a swap entry in the place of the mapping; the caller holds the folio lock.

    The flush is left for later where there are TLBs, and the mm told so; the caller does it before
    the page is written out.
    """
    range = MmuNotifierRange(mm, address, address + PAGE_SIZE, MmuNotifyEvent.CLEAR)
    mmu_notifier_invalidate_range_start(range)
    unmapped = _unmap_one(mm, address, pfn, slot)
    mmu_notifier_invalidate_range_end(range)
    return unmapped


def _unmap_one(mm: MmStruct, address: int, pfn: int, slot: int) -> bool:
    if not page_vma_mapped_walk(mm, address, pfn):
        return False
    exclusive = PageAnonExclusive(pfn)
    old = ptep_get_and_clear(mm.pte(address))
    note("PTE is clear")
    set_tlb_ubc_flush_pending(mm)
    if slot == LAZYFREE:
        return _discard(mm, address, pfn, old)
    swap_duplicate(slot)
    entry = Pte(PteKind.SWAP, slot, uffd_wp=old.uffd_wp, exclusive=exclusive)
    _replace(mm, address, pfn, entry)
    return True
