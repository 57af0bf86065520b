"""The swap area: a few slots, each of which holds the contents of a page (``mm/swapfile.c``).

There is no swap cache. One PTE refers to a slot, and the slot is free again when that page is
back.
"""

from __future__ import annotations

from refault.explore import Cell
from refault.linux.modelled import NotModelled, current_kernel, kernel_function


def swap_slot(slot: int) -> Cell[int | None]:
    """Return the contents of a slot; None while it is free."""
    return current_kernel().swap[slot]


def _reserve(contents: int | None) -> tuple[int | None, bool]:
    return (0, True) if contents is None else (contents, False)


@kernel_function("mm/swapfile.c", quiet=True)
def folio_alloc_swap() -> int:
    """Take a free slot."""
    for slot, cell in enumerate(current_kernel().swap):
        if cell.update(_reserve):
            return slot
    raise NotModelled("reclaim with swap space full")


@kernel_function("mm/swapfile.c", quiet=True)
def swap_free(slot: int) -> None:
    """Give a slot back."""
    swap_slot(slot).write(None)


@kernel_function("mm/page_io.c", quiet=True)
def swap_write_folio(slot: int, data: int) -> None:
    """Write the contents of a page to its slot."""
    swap_slot(slot).write(data)


@kernel_function("mm/page_io.c", quiet=True)
def swap_read_folio(slot: int) -> int:
    """Read the contents of a slot; what a slot held that is free by now is never used."""
    return swap_slot(slot).read() or 0
