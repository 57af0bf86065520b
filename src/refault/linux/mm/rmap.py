"""Unmapping a folio wherever it is mapped (``mm/rmap.c``).

These writers come from the side of the page, not of the address space: they hold the folio lock
and the page-table lock, and **no mmap_lock and no VMA lock**. So nothing that a fault holds keeps
them out. Both write none first, and then the entry that stands for the page.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    folio_put,
    folio_remove_rmap_pte,
    frame,
)
from refault.linux.include.linux.pgtable import (
    Pte,
    PteKind,
    ptep_clear_flush,
    ptep_get,
    set_pte_at,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swapfile import swap_write_folio
from refault.linux.modelled import kernel_function


@kernel_function("mm/page_vma_mapped.c", quiet=True)
def page_vma_mapped_walk(mm: MmStruct, address: int, pfn: int) -> bool:
    """Take the page-table lock if the folio is mapped at ``address``."""
    if not pte_offset_map_lock(mm):
        return False
    pte = ptep_get(mm.pte(address))
    if pte.present and pte.pfn == pfn:
        return True
    pte_unmap_unlock(mm)
    return False


def _unmap(mm: MmStruct, address: int, pfn: int, entry: Pte) -> None:
    """Replace the mapping by ``entry``, by way of none; the walk holds the page-table lock."""
    ptep = mm.pte(address)
    ptep_clear_flush(ptep)
    note("PTE is clear")
    if entry.kind is PteKind.SWAP:
        swap_write_folio(entry.pfn, frame(pfn).data.read())
    set_pte_at(ptep, entry)
    folio_remove_rmap_pte(pfn)
    folio_put(pfn)
    pte_unmap_unlock(mm)


@kernel_function("mm/rmap.c", label="try_to_migrate")
def try_to_migrate_one(mm: MmStruct, address: int, pfn: int) -> bool:
    """Put a migration entry in the place of the mapping; the caller holds the folio lock."""
    if not page_vma_mapped_walk(mm, address, pfn):
        return False
    old = ptep_get(mm.pte(address))
    entry = old._replace(kind=PteKind.MIGRATION, protnone=False, exclusive=PageAnonExclusive(pfn))
    _unmap(mm, address, pfn, entry)
    return True


@kernel_function("mm/rmap.c", label="try_to_unmap")
def try_to_unmap_one(mm: MmStruct, address: int, pfn: int, slot: int) -> bool:
    """Put a swap entry in the place of the mapping; the caller holds the folio lock.

    The contents go to the slot when nobody can write to them any more. The kernel writes them out
    later, and a fault in between finds them in the swap cache, which is not modelled.
    """
    if not page_vma_mapped_walk(mm, address, pfn):
        return False
    old = ptep_get(mm.pte(address))
    entry = Pte(PteKind.SWAP, slot, uffd_wp=old.uffd_wp, exclusive=PageAnonExclusive(pfn))
    _unmap(mm, address, pfn, entry)
    return True
