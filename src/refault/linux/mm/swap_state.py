"""The swap cache (``mm/swap_state.c``), and reading from swap past it.

Whoever brings a page back first puts it into the cache, locked, and reads it; everybody else finds
it there. On a device that answers at once (zram) a page with a single entry is read past the cache,
and ``swapcache_prepare()`` lets one task at a time do that.
"""

from __future__ import annotations

from refault.explore import atomic, restart
from refault.linux.include.linux.page import (
    alloc_page,
    change_folio,
    folio_of,
    folio_put,
    folio_try_get,
    frame,
)
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.mm.swapfile import SwapSlot, swap_read_folio, swap_slot
from refault.linux.modelled import kernel_function


def _cached(slot: SwapSlot) -> int:
    return slot.cache


def _insert(slot: SwapSlot, pfn: int) -> tuple[SwapSlot, bool]:
    if slot.cache or slot.pinned or not slot.entries:
        return slot, False
    return slot._replace(cache=pfn), True


def _in_use(slot: SwapSlot) -> bool:
    return bool(slot.entries)


def _pin(slot: SwapSlot) -> tuple[SwapSlot, bool]:
    if slot.cache or slot.pinned or not slot.entries:
        return slot, False
    return slot._replace(pinned=True), True


def _unpin(slot: SwapSlot) -> tuple[SwapSlot, None]:
    left = slot._replace(pinned=False)
    return (left if left.entries or left.cache else SwapSlot()), None


@kernel_function("mm/swap_state.c", quiet=True)
def swap_cache_get_folio(slot: int) -> int:
    """Find the folio of a slot and take a reference; 0 if it is not in the cache."""
    while True:
        restart()
        pfn = swap_slot(slot).peek(_cached)
        if not pfn:
            return 0
        if not folio_try_get(pfn):
            continue
        if swap_slot(slot).peek(_cached) == pfn:
            return pfn
        folio_put(pfn)


@kernel_function("mm/swap_state.c", quiet=True)
def swapcache_prepare(slot: int) -> bool:
    """Reserve a slot for reading it past the cache; False if somebody else is at it."""
    return swap_slot(slot).update(_pin)


@kernel_function("mm/swap_state.c", quiet=True)
def swapcache_clear(slot: int) -> None:
    """Let others read the slot again."""
    swap_slot(slot).update(_unpin)


@kernel_function("mm/swap_state.c")
def read_swap_cache_async(slot: int) -> int:
    """Bring a page into the swap cache and read it; 0 if the entry is gone.

    Returns it unlocked, with a reference. The kernel reads its neighbours as well.
    """
    while True:
        restart()
        pfn = swap_cache_get_folio(slot)
        if pfn:
            return pfn
        if not swap_slot(slot).peek(_in_use):
            return 0
        new = alloc_page()
        folio_lock(new)
        if _add_to_swap_cache(new, slot):
            frame(new).data.write(swap_read_folio(slot))
            folio_unlock(new)
            folio_add_lru(new)
            return new
        folio_unlock(new)
        folio_put(new)


def _add_to_swap_cache(pfn: int, slot: int) -> bool:
    with atomic():
        added = swap_slot(slot).update(_insert, pfn)
        if added:
            change_folio(pfn, swap=slot, refcount=folio_of(pfn).refcount + 1)
    return added
