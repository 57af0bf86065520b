"""Moving pages to a device and back (``mm/migrate_device.c``).

A driver calls three functions. The first takes the pages out of the page table, with migration
entries in their place; the driver copies them; the second looks whether nobody else uses them, and
the third puts the new pages in, or the old ones back. From the first to the third the old
pages are locked, and who faults on them waits. There is nothing in between that a signal could end.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.linux.include.linux.memremap import is_device_pool
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    alloc_from,
    change_folio,
    folio_get,
    folio_of,
    folio_put,
    folio_remove_rmap_pte,
    folio_try_get,
    frame,
    set_page_anon_exclusive,
)
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    PteKind,
    ptep_clear_flush,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.filemap import folio_lock, folio_trylock, folio_unlock
from refault.linux.mm.migrate import remove_migration_ptes
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.rmap import try_to_migrate
from refault.linux.mm.swap import folio_add_lru, lru_add_drain_all
from refault.linux.modelled import NotModelled, current_kernel, kernel_function


class MigrateVma(NamedTuple):
    """``struct migrate_vma``: what is to be moved.

    With a ``pool`` pages of the system are to move to that device's memory; ``back`` moves pages of
    it to the system's. ``fault_pfn`` is a page that the caller has locked already.
    """

    vma: VmArea
    start: int
    end: int
    owner: str
    pool: int
    back: bool = False
    fault_pfn: int = -1


class MigratePage(NamedTuple):
    """A page on the move: where it is mapped, its frame and the new one, and whether it goes."""

    address: int
    src: int
    migrate: bool = True
    dst: int = 0


Pages = tuple[MigratePage, ...]


@kernel_function("mm/migrate_device.c", label="migrate_vma_setup")
def migrate_vma_setup(args: MigrateVma) -> Pages:
    """Take the pages that may move out of the page table; the caller holds mmap_lock."""
    mm = args.vma.vm_mm
    range = MmuNotifierRange(mm, args.start, args.end, MmuNotifyEvent.MIGRATE, owner=args.owner)
    mmu_notifier_invalidate_range_start(range)
    pages = migrate_vma_collect_pmd(args)
    mmu_notifier_invalidate_range_end(range)
    return migrate_vma_unmap(args, pages)


@kernel_function("mm/migrate_device.c", quiet=True)
def migrate_vma_collect_pmd(args: MigrateVma) -> Pages:
    """Look at each entry under the page-table lock."""
    mm = args.vma.vm_mm
    if not pte_offset_map_lock(mm):
        return ()
    pages: Pages = ()
    for address in range(args.start, args.end, PAGE_SIZE):
        pages = (*pages, *_collect(args, address))
    pte_unmap_unlock(mm)
    return pages


def _collect(args: MigrateVma, address: int) -> Pages:
    pte = ptep_get(args.vma.vm_mm.pte(address))
    if pte.none or (pte.present and pte.pfn == ZERO_PFN):
        return () if args.back else (MigratePage(address, 0),)
    if args.back:
        wanted = pte.kind is PteKind.DEVICE and frame(pte.pfn).cpu == args.pool
    else:
        wanted = pte.present
    if not wanted:
        return ()
    folio_get(pte.pfn)
    if pte.pfn != args.fault_pfn and not folio_trylock(pte.pfn):
        folio_put(pte.pfn)
        return ()
    return _take_out(args, address, pte)


def _take_out(args: MigrateVma, address: int, pte: Pte) -> Pages:
    """Put a migration entry in the place of a locked page, unless a device has pinned it."""
    ptep = args.vma.vm_mm.pte(address)
    exclusive = PageAnonExclusive(pte.pfn)
    if exclusive and folio_of(pte.pfn).pins:
        _let_go(args, pte.pfn)
        return ()
    old = ptep_clear_flush(ptep) if exclusive and pte.present else ptep_get_and_clear(ptep)
    if exclusive:
        set_page_anon_exclusive(pte.pfn, False)
    if old.present and old.dirty:
        change_folio(pte.pfn, dirty=True)
    set_pte_at(ptep, old._replace(kind=PteKind.MIGRATION, protnone=False, exclusive=exclusive))
    folio_remove_rmap_pte(pte.pfn)
    folio_put(pte.pfn)
    return (MigratePage(address, pte.pfn),)


def _let_go(args: MigrateVma, pfn: int) -> None:
    if pfn != args.fault_pfn:
        folio_unlock(pfn)
    folio_put(pfn)


@kernel_function("mm/migrate_device.c", quiet=True)
def migrate_vma_unmap(args: MigrateVma, pages: Pages) -> Pages:
    """Take them out of other page tables, too; what somebody else uses goes back at once."""
    lru_add_drain_all()
    left: Pages = ()
    for page in pages:
        if page.src and folio_of(page.src).mapcount:
            try_to_migrate(args.vma.vm_mm, page.address, page.src)
        if not page.src or _alone(args, page.src):
            left = (*left, page)
            continue
        remove_migration_ptes(args.vma.vm_mm, page.address, page.src, page.src)
        _let_go(args, page.src)
    return left


def _alone(args: MigrateVma, pfn: int) -> bool:
    """Tell whether all references are the caller's, and of the fault that he handles."""
    folio = folio_of(pfn)
    return not folio.mapcount and folio.refcount == 1 + (pfn == args.fault_pfn)


@kernel_function("mm/migrate_device.c", label="migrate_device_range")
def migrate_device_range(mm: MmStruct, pool: int) -> tuple[MigrateVma, Pages]:
    """Take all pages in a device's memory out of the page tables, but those that are locked.

    For the other two functions there is no mapping to be named; any of the process will do.
    """
    args = MigrateVma(mm.vmas[0], 0, 0, "", pool, back=True)
    pages: Pages = ()
    for pfn in [pfn for pfn, owned in current_kernel().frames.items() if owned.cpu == pool]:
        if migrate_device_pfn_lock(pfn):
            pages = (*pages, MigratePage(_mapped_at(mm, pfn), pfn))
    return args, migrate_vma_unmap(args, pages)


@kernel_function("mm/migrate_device.c", quiet=True)
def migrate_device_pfn_lock(pfn: int) -> bool:
    """Take a reference and the lock of a page, if it is in use and nobody has the lock."""
    if not folio_try_get(pfn):
        return False
    if folio_trylock(pfn):
        return True
    folio_put(pfn)
    return False


def _mapped_at(mm: MmStruct, pfn: int) -> int:
    """``folio->index``, as an address: where the page is mapped, if anywhere."""
    mapped = (address for address, pte in mm.ptes.items() if ptep_get(pte).pfn == pfn)
    return next(mapped, mm.vmas[0].vm_start)


def alloc_device_page(pool: int) -> int:
    """What a driver does for each page: take a frame of its own and lock it; 0 if it has none."""
    pfn = alloc_from(pool)
    if pfn:
        folio_lock(pfn)
    return pfn


@kernel_function("mm/migrate_device.c", quiet=True)
def migrate_vma_pages(args: MigrateVma, pages: Pages) -> Pages:
    """Say of each page that has a new frame whether it is to be used: nobody has come since."""
    ready: Pages = ()
    for page in pages:
        if page.dst and not page.src:
            raise NotModelled("migration of a hole to a device")
        stays = not page.dst or not _alone(args, page.src)
        ready = (*ready, page._replace(migrate=not stays))
    return ready


@kernel_function("mm/migrate_device.c", label="migrate_vma_finalize")
def migrate_vma_finalize(args: MigrateVma, pages: Pages) -> None:
    """Map the new pages, or the old ones again, and unlock all of them."""
    for page in pages:
        if not page.src:
            continue
        dst = page.dst if page.migrate and page.dst else page.src
        remove_migration_ptes(args.vma.vm_mm, page.address, page.src, dst)
        _let_go(args, page.src)
        if page.dst:
            if dst == page.dst and not is_device_pool(frame(dst).cpu):
                folio_add_lru(dst)
            folio_unlock(page.dst)
            folio_put(page.dst)
