"""Taking pages out of a page table (``mm/memory.c``: ``zap_pte_range()`` and above)."""

from __future__ import annotations

from refault.explore import note
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.linux.page import folio_put, folio_remove_rmap_pte
from refault.linux.include.linux.pgtable import ZERO_PFN, ptep_get, ptep_get_and_clear
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/memory.c")
def zap_page_range_single(vma: VmArea, address: int) -> None:
    """Make the PTE none for good and drop what it maps."""
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(address)
    if not pte_offset_map_lock(mm):
        return
    pte = ptep_get(ptep)
    if not pte.present and not pte.none:
        raise NotModelled("zapping an entry that is not present", str(pte))
    if pte.none:
        pte_unmap_unlock(mm)
        return
    ptep_get_and_clear(ptep)
    note("page is gone")
    if pte.pfn != ZERO_PFN:
        folio_remove_rmap_pte(pte.pfn)
    pte_unmap_unlock(mm)
    if pte.pfn != ZERO_PFN:
        folio_put(pte.pfn)
