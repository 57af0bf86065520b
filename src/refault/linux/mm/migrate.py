"""Moving a page to another frame (``mm/migrate.c``).

Compaction, NUMA balancing and memory hot-unplug come here. The page is isolated, its mapping
replaced by a migration entry, its contents copied, and the entry replaced by the new page in a
single write.
"""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.memremap import is_device_pool
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.page import (
    HUGE_POOL,
    Folio,
    alloc_from,
    alloc_page,
    folio_add_anon_rmap_pte,
    folio_get,
    folio_of,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import ZERO_PFN, Pte, PteKind, mk_pte, ptep_get, set_pte_at
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.pgtable_generic import pte_offset_map_lock_rmap, pte_unmap_unlock
from refault.linux.mm.rmap import rmap_walk, try_to_migrate
from refault.linux.mm.swap import folio_add_lru, lru_add_drain_all
from refault.linux.modelled import NotModelled, kernel_function


def _isolate(folio: Folio | None) -> tuple[Folio | None, bool]:
    if folio is None or folio.lru_batch is not None or not folio.mapcount:
        return folio, False
    return folio._replace(refcount=folio.refcount + 1), True


@kernel_function("mm/compaction.c", quiet=True)
def isolate_folio(mm: MmStruct, address: int) -> int:
    """Take the page now mapped at ``address`` off the LRU, with a reference; 0 if there is none.

    The kernel scans frames and only later learns where they are mapped; starting from the address
    picks the one frame that can matter to a scenario.
    """
    lru_add_drain_all()
    pte = ptep_get(mm.pte(address))
    if not pte.present or pte.pfn == ZERO_PFN or not frame(pte.pfn).folio.update(_isolate):
        return 0
    return pte.pfn


@kernel_function("mm/migrate.c")
def migrate_pages(mm: MmStruct, address: int) -> bool:
    """Move the page at ``address`` to another frame; tell whether that was done."""
    pfn = isolate_folio(mm, address)
    if not pfn:
        return False
    new = alloc_migration_target(pfn)
    moved = False
    if new:
        folio_lock(pfn)
        moved = _move_locked(mm, address, pfn, new)
        folio_unlock(pfn)
        folio_put(new)
    folio_put(pfn)
    return moved


@kernel_function("mm/migrate.c", quiet=True)
def alloc_migration_target(pfn: int) -> int:
    """Allocate where the page is to go, for a hugetlb page from their pool; 0 if there is none."""
    return alloc_from(HUGE_POOL) if frame(pfn).cpu == HUGE_POOL else alloc_page()


def _move_locked(mm: MmStruct, address: int, pfn: int, new: int) -> bool:
    if folio_of(pfn).mapping is not None:
        raise NotModelled("moving a page of a file to another frame")
    unmapped = try_to_migrate(mm, address, pfn)
    moved = unmapped and migrate_folio_move(mm, address, pfn, new)
    if unmapped and not moved:
        remove_migration_ptes(mm, address, pfn, pfn)
    return moved


@kernel_function("mm/migrate.c", quiet=True)
def migrate_folio_move(mm: MmStruct, address: int, pfn: int, new: int) -> bool:
    """Copy the page and map the copy, unless somebody else holds a reference."""
    if not _only_reference(pfn):
        return False
    frame(new).data.write(frame(pfn).data.read())
    if frame(new).cpu != HUGE_POOL:
        folio_add_lru(new)
    remove_migration_ptes(mm, address, pfn, new)
    return True


def _only_reference(pfn: int) -> bool:
    folio = frame(pfn).folio.read()
    return folio is not None and folio.refcount == 1


@kernel_function("mm/migrate.c", quiet=True)
def remove_migration_ptes(mm: MmStruct, address: int, src: int, dst: int) -> None:
    """Replace the migration entries of ``src`` by mappings of ``dst``, in one write each."""
    for owner, where in rmap_walk(mm, address):
        remove_migration_pte(owner, where, src, dst)


def _new_pte(old: Pte, dst: int) -> Pte:
    """A mapping of the new page with the rights of the old; of a device's page it is an entry."""
    if is_device_pool(frame(dst).cpu):
        return Pte(PteKind.DEVICE, dst, write=old.write, uffd_wp=old.uffd_wp)
    return mk_pte(dst, write=old.write, dirty=old.dirty, uffd_wp=old.uffd_wp)


@kernel_function("mm/migrate.c")
def remove_migration_pte(mm: MmStruct, address: int, src: int, dst: int) -> None:
    """Replace one migration entry."""
    if not pte_offset_map_lock_rmap(mm):
        return
    ptep = mm.pte(address)
    old = ptep_get(ptep)
    if old.kind is PteKind.MIGRATION and old.pfn == src:
        with atomic():
            folio_get(dst)
            folio_add_anon_rmap_pte(dst, exclusive=old.exclusive)
            set_pte_at(ptep, _new_pte(old, dst))
    pte_unmap_unlock(mm)
