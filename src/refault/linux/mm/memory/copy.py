"""Copying a page table for a child (``mm/memory.c``: ``copy_page_range()``).

Private pages become read-only on both sides, and belong to nobody alone any more, unless a device
writes to them: a pinned page stays with the parent, and the child gets a copy at once.
``pin_user_pages_fast()`` takes no lock, so a fork makes ``write_protect_seq`` odd meanwhile, and
who pins a page and sees it change gives the pin back.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.include.linux.mm_flags import Vm, is_cow_mapping
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import (
    Folio,
    PageAnonExclusive,
    alloc_page,
    folio_add_new_anon_rmap,
    folio_of,
    frame,
    live,
    set_page_anon_exclusive,
)
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    PteKind,
    PteMarker,
    mk_pte,
    ptep_get,
    ptep_set_wrprotect,
    set_pte_at,
)
from refault.linux.include.linux.seqlock import write_seqcount_begin, write_seqcount_end
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_alloc, pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.mm.swapfile import swap_duplicate
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/memory.c")
def copy_page_range(dst: VmArea, src: VmArea) -> None:
    """Copy what is mapped in ``src`` to the child's VMA."""
    cow = is_cow_mapping(src.vm_flags.read())
    if src.vm_file is not None and not src.anon_vma.read():
        return
    range = MmuNotifierRange(src.vm_mm, src.vm_start, src.vm_end, MmuNotifyEvent.PROTECTION_PAGE)
    if cow:
        mmu_notifier_invalidate_range_start(range)
        fork_write_protect_begin(src.vm_mm)
    pte_alloc(dst.vm_mm)
    for address in src.addresses():
        copy_pte_range(dst, src, address, cow=cow)
    if cow:
        fork_write_protect_end(src.vm_mm)
        mmu_notifier_invalidate_range_end(range)


@kernel_function("mm/memory.c", quiet=True)
def fork_write_protect_begin(mm: MmStruct) -> None:
    """Let who pins without a lock know that pages are about to become shared."""
    write_seqcount_begin(mm.write_protect_seq)


@kernel_function("mm/memory.c", quiet=True)
def fork_write_protect_end(mm: MmStruct) -> None:
    """That is over."""
    write_seqcount_end(mm.write_protect_seq)


@kernel_function("mm/memory.c", quiet=True)
def copy_pte_range(dst: VmArea, src: VmArea, address: int, *, cow: bool) -> None:
    """Copy one entry, under the page-table locks of both."""
    spin_lock(dst.vm_mm.ptl)
    if pte_offset_map_lock(src.vm_mm):
        pte = ptep_get(src.vm_mm.pte(address))
        if pte.present:
            _copy_present(dst, src, address, pte, cow)
        elif not pte.none:
            _copy_nonpresent(dst, src, address, pte, cow)
        pte_unmap_unlock(src.vm_mm)
    spin_unlock(dst.vm_mm.ptl)


def _share(folio: Folio | None) -> tuple[Folio | None, bool]:
    old = live(folio)
    if old.pins and old.exclusive:
        return old, False
    return old._replace(refcount=old.refcount + 1, mapcount=old.mapcount + 1), True


def _copy_present(dst: VmArea, src: VmArea, address: int, pte: Pte, cow: bool) -> None:
    child = dst.vm_mm.pte(address)
    if pte.pfn != ZERO_PFN:
        if not frame(pte.pfn).folio.update(_share):
            copy_present_page(dst, address, pte)
            return
        if folio_of(pte.pfn).mapping is None and PageAnonExclusive(pte.pfn):
            set_page_anon_exclusive(pte.pfn, False)
    if cow and pte.write:
        ptep_set_wrprotect(src.vm_mm.pte(address))
        note("PTE is read-only")
        pte = pte._replace(write=False)
    set_pte_at(child, _for_child(dst, pte))


def _for_child(dst: VmArea, pte: Pte) -> Pte:
    armed = bool(dst.vm_flags.read() & Vm.UFFD_WP)
    return pte if armed else pte._replace(uffd_wp=False)


@kernel_function("mm/memory.c")
def copy_present_page(dst: VmArea, address: int, pte: Pte) -> None:
    """Give the child a copy of a page that a device may be writing to."""
    new = alloc_page()
    frame(new).data.write(frame(pte.pfn).data.read())
    writable = bool(dst.vm_flags.read() & Vm.WRITE)
    with atomic():
        folio_add_new_anon_rmap(new)
        folio_add_lru(new)
        set_pte_at(dst.vm_mm.pte(address), mk_pte(new, write=writable, dirty=True))


def _copy_nonpresent(dst: VmArea, src: VmArea, address: int, pte: Pte, cow: bool) -> None:
    if pte.kind is PteKind.MARKER:
        wanted = PteMarker.POISONED | PteMarker.GUARD
        if dst.vm_flags.read() & Vm.UFFD_WP:
            wanted |= PteMarker.UFFD_WP
        if pte.marker & wanted:
            set_pte_at(dst.vm_mm.pte(address), pte)
        return
    if pte.kind is PteKind.DEVICE:
        raise NotModelled("fork with a page in the memory of a device")
    if pte.kind is PteKind.SWAP:
        swap_duplicate(pte.pfn)
    shared = pte._replace(exclusive=False, write=pte.write and not cow)
    if shared != pte:
        set_pte_at(src.vm_mm.pte(address), shared)
    set_pte_at(dst.vm_mm.pte(address), _for_child(dst, shared))
