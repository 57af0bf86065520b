"""The swap area: a few slots, each of which holds the contents of a page (``mm/swapfile.c``).

A slot is in use as long as entries refer to it (``entries``) or its page is in the swap cache.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import Cell, Violation, atomic
from refault.linux.include.linux.page import change_folio, folio_of
from refault.linux.modelled import NotModelled, current_kernel, kernel_function


class SwapSlot(NamedTuple):
    """A slot: how many entries refer to it, what the device holds, and which folio caches it.

    ``pinned`` is ``SWAP_HAS_CACHE`` without a folio: somebody reads the slot past the cache.
    """

    entries: int = 0
    data: int = 0
    cache: int = 0
    pinned: bool = False

    def __repr__(self) -> str:
        if self == SwapSlot():
            return "free"
        cache = f", pfn {self.cache} in the cache" if self.cache else ""
        return f"{self.entries} entries, holds {self.data}{cache}{', being read' * self.pinned}"


def swap_slot(slot: int) -> Cell[SwapSlot]:
    """Return a slot."""
    return current_kernel().swap[slot]


def _reserve(slot: SwapSlot, pfn: int) -> tuple[SwapSlot, bool]:
    if slot.entries or slot.cache or slot.pinned:
        return slot, False
    return SwapSlot(cache=pfn), True


def _duplicate(slot: SwapSlot, by: int) -> tuple[SwapSlot, None]:
    if slot.entries + by < 0 or (by > 0 and not (slot.entries or slot.cache)):
        raise Violation("BUG", f"the count of a swap slot runs wild: {slot}")
    left = slot._replace(entries=slot.entries + by)
    return (SwapSlot() if not (left.entries or left.cache or left.pinned) else left), None


def _uncache(slot: SwapSlot) -> tuple[SwapSlot, None]:
    return (slot._replace(cache=0) if slot.entries else SwapSlot()), None


def _write(slot: SwapSlot, data: int) -> tuple[SwapSlot, None]:
    return slot._replace(data=data), None


@kernel_function("mm/swapfile.c", quiet=True)
def folio_alloc_swap(pfn: int) -> int:
    """Take a free slot for a folio and put it into the swap cache, which takes a reference."""
    with atomic():
        for slot, cell in enumerate(current_kernel().swap):
            if cell.update(_reserve, pfn):
                change_folio(pfn, swap=slot, refcount=folio_of(pfn).refcount + 1)
                return slot
    raise NotModelled("reclaim with swap space full")


@kernel_function("mm/swapfile.c", quiet=True)
def swap_duplicate(slot: int) -> None:
    """Count an entry more."""
    swap_slot(slot).update(_duplicate, 1)


@kernel_function("mm/swapfile.c", quiet=True)
def swap_free(slot: int) -> None:
    """Count an entry less; the slot is free with the last one, if it is not in the cache."""
    swap_slot(slot).update(_duplicate, -1)


@kernel_function("mm/swap_state.c", quiet=True)
def delete_from_swap_cache(pfn: int) -> None:
    """Take a locked folio out of the swap cache; the caller puts the cache's reference."""
    with atomic():
        slot = folio_of(pfn).swap
        if slot is not None:
            swap_slot(slot).update(_uncache)
            change_folio(pfn, swap=None)


@kernel_function("mm/swapfile.c", quiet=True)
def folio_free_swap(pfn: int) -> bool:
    """Give the slot of a locked folio back if no entry refers to it; tells whether it was."""
    with atomic():
        folio = folio_of(pfn)
        if folio.swap is None or swap_slot(folio.swap).read().entries:
            return False
        swap_slot(folio.swap).update(_uncache)
        change_folio(pfn, swap=None, dirty=True, refcount=folio.refcount - 1)
    return True


@kernel_function("mm/page_io.c", quiet=True)
def swap_write_folio(slot: int, data: int) -> None:
    """Write the contents of a page to its slot."""
    swap_slot(slot).update(_write, data)


@kernel_function("mm/page_io.c", quiet=True)
def swap_read_folio(slot: int) -> int:
    """Read the contents of a slot; what a slot held that is free by now is never used."""
    return swap_slot(slot).read().data
