"""Reclaim: writing a page to swap and taking it away (``mm/vmscan.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import folio_put
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.migrate import isolate_folio
from refault.linux.mm.rmap import try_to_unmap_one
from refault.linux.mm.swapfile import folio_alloc_swap, swap_free
from refault.linux.modelled import kernel_function


@kernel_function("mm/vmscan.c")
def shrink_folio_list(mm: MmStruct, address: int) -> bool:
    """Reclaim the page at ``address``; tell whether that was done."""
    pfn = isolate_folio(mm, address)
    if not pfn:
        return False
    reclaimed = False
    if folio_trylock(pfn):
        slot = folio_alloc_swap()
        reclaimed = try_to_unmap_one(mm, address, pfn, slot)
        if not reclaimed:
            swap_free(slot)
        folio_unlock(pfn)
    folio_put(pfn)
    return reclaimed
