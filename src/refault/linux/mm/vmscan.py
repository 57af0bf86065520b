"""Reclaim: writing a page to swap and taking it away (``mm/vmscan.c``)."""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.asm.tlb import try_to_unmap_flush
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import change_folio, folio_of, folio_put, frame
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.migrate import isolate_folio
from refault.linux.mm.rmap import LAZYFREE, try_to_unmap
from refault.linux.mm.swapfile import (
    delete_from_swap_cache,
    folio_alloc_swap,
    folio_free_swap,
    swap_write_folio,
)
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/vmscan.c")
def shrink_folio_list(mm: MmStruct, address: int) -> bool:
    """Reclaim the page at ``address``; tell whether that was done.

    The page is written while it is locked. The kernel lets the device do that and comes back for
    the page in another round; a fault in between finds it in the swap cache either way.
    """
    pfn = isolate_folio(mm, address)
    if not pfn:
        return False
    reclaimed = False
    if folio_trylock(pfn):
        if folio_of(pfn).mapping is not None:
            raise NotModelled("reclaim of a page of a file")
        reclaimed = _swap_out(mm, address, pfn)
        folio_unlock(pfn)
    folio_put(pfn)
    return reclaimed


def _swap_out(mm: MmStruct, address: int, pfn: int) -> bool:
    if not folio_of(pfn).swapbacked:
        return _drop(mm, address, pfn)
    slot = folio_of(pfn).swap
    slot = folio_alloc_swap(pfn) if slot is None else slot
    try_to_unmap(mm, address, pfn, slot)
    if folio_of(pfn).mapcount:
        folio_free_swap(pfn)
        return False
    try_to_unmap_flush(mm)
    swap_write_folio(slot, frame(pfn).data.read())
    return __remove_mapping(pfn)


def _drop(mm: MmStruct, address: int, pfn: int) -> bool:
    """Take away a page that MADV_FREE has given up; nothing is written."""
    try_to_unmap(mm, address, pfn, LAZYFREE)
    try_to_unmap_flush(mm)
    return not folio_of(pfn).mapcount


@kernel_function("mm/vmscan.c", quiet=True)
def __remove_mapping(pfn: int) -> bool:
    """Take the folio out of the swap cache, unless somebody else holds a reference."""
    with atomic():
        folio = folio_of(pfn)
        if folio.refcount != 2:
            return False
        delete_from_swap_cache(pfn)
        change_folio(pfn, refcount=1)
    return True
