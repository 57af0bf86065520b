"""The pages of a file that are in memory (``mm/filemap.c``, ``mm/truncate.c``).

A folio enters the cache not read yet, or filled; it leaves it under the folio lock. Who finds it
without that lock must look again when it has it: the folio may have left the file meanwhile.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.include.linux.fs import AddressSpace
from refault.linux.include.linux.page import change_folio, folio_of, folio_put
from refault.linux.modelled import current_kernel, kernel_function


def _lookup(pages: tuple[tuple[int, int], ...], index: int) -> int:
    return dict(pages).get(index, 0)


def _remove(
    pages: tuple[tuple[int, int], ...], index: int
) -> tuple[tuple[tuple[int, int], ...], None]:
    return tuple(pair for pair in pages if pair[0] != index), None


def _add(
    pages: tuple[tuple[int, int], ...], index: int, pfn: int
) -> tuple[tuple[tuple[int, int], ...], int]:
    found = dict(pages).get(index)
    if found:
        return pages, found
    return tuple(sorted((*pages, (index, pfn)))), 0


def cached(mapping: AddressSpace, index: int) -> int:
    """Look a page of the file up in the cache; 0 if it is not there."""
    return mapping.i_pages.peek(_lookup, index)


def cache_insert(mapping: AddressSpace, index: int, pfn: int) -> int:
    """Put a folio into the cache unless there is one; returns the one that is there, or 0."""
    with atomic():
        found = mapping.i_pages.update(_add, index, pfn)
        if not found:
            folio = folio_of(pfn)
            change_folio(pfn, mapping=(mapping.name, index), refcount=folio.refcount + 1)
    return found


@kernel_function("mm/filemap.c", quiet=True)
def filemap_remove_folio(pfn: int) -> None:
    """Take a locked folio out of the cache; the cache's reference goes with it."""
    with atomic():
        where = folio_of(pfn).mapping
        if where is None:
            return
        current_kernel().files[where[0]].mapping.i_pages.update(_remove, where[1])
        change_folio(pfn, mapping=None)
    note("folio leaves the page cache")
    folio_put(pfn)


@kernel_function("mm/truncate.c", quiet=True)
def mapping_evict_folio(pfn: int) -> bool:
    """Drop a clean, unmapped, locked folio from the cache; tells whether that was possible."""
    folio = folio_of(pfn)
    if folio.mapping is None or folio.dirty or folio.refcount > 2:
        return False
    filemap_remove_folio(pfn)
    return True
