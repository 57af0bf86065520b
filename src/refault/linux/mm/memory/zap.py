"""Taking pages out of a page table (``mm/memory.c``: ``zap_pte_range()`` and above).

What was mapped is given back only after a flush. Until then ``tlb_flush_pending`` says that PTEs
have changed which TLBs may still remember.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from refault.explore import note
from refault.linux.asm.tlb import flush_tlb_batched_pending, flush_tlb_mm_range
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Pmd, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import change_folio, folio_remove_rmap_pte
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    PteKind,
    PteMarker,
    make_pte_marker,
    ptep_get,
    ptep_get_and_clear,
    set_pte_at,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.hugetlb_lock import hugetlb_zap_begin, hugetlb_zap_end
from refault.linux.mm.mmu_gather import tlb_finish_mmu, tlb_gather_mmu
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import (
    pmd_trans_huge_lock,
    pte_offset_map_lock,
    pte_unmap_unlock,
)
from refault.linux.mm.swapfile import swap_free
from refault.linux.modelled import kernel_function


class ZapDetails(NamedTuple):
    """``struct zap_details``: whether private copies go as well, and whether markers do."""

    even_cows: bool = True
    drop_markers: bool = False


class Zapped(NamedTuple):
    """What a piece of a page table gave up: whether anything, and the pages to be put."""

    cleared: bool = False
    pages: tuple[int, ...] = ()


DONTNEED = ZapDetails()
UNMAP = ZapDetails(drop_markers=True)


@kernel_function("mm/memory.c")
def zap_page_range_single(
    vma: VmArea, start: int, end: int = 0, details: ZapDetails = DONTNEED
) -> None:
    """Take away what is mapped between two addresses, by default one page; flush; give it back."""
    mm, end = vma.vm_mm, end or start + PAGE_SIZE
    event = MmuNotifyEvent.UNMAP if details == UNMAP else MmuNotifyEvent.CLEAR
    range = MmuNotifierRange(mm, start, end, event)
    hugetlb_zap_begin(vma)
    mmu_notifier_invalidate_range_start(range)
    zap_and_flush(vma, start, end, details)
    mmu_notifier_invalidate_range_end(range)
    hugetlb_zap_end(vma)


def zap_and_flush(vma: VmArea, start: int, end: int, details: ZapDetails) -> None:
    """The same for who has told the notifiers himself, or has none left to tell."""
    tlb_gather_mmu(vma.vm_mm)
    zapped = unmap_page_range(vma, start, end, details)
    tlb_finish_mmu(vma.vm_mm, start, end, cleared=zapped.cleared, pages=zapped.pages)


@kernel_function("mm/memory.c", quiet=True)
def unmap_page_range(vma: VmArea, start: int, end: int, details: ZapDetails) -> Zapped:
    """Look at the PMD entry, without its lock, and take the pages below it."""
    mm = vma.vm_mm
    pmd = mm.pmd.read()
    if isinstance(pmd, HugePmd):
        huge = zap_huge_pmd(mm)
        if huge.cleared:
            return huge
    elif pmd is Pmd.NONE:
        note("PMD is clear: nothing to do")
        return Zapped()
    return zap_pte_range(vma, start, end, details)


@kernel_function("mm/huge_memory.c")
def zap_huge_pmd(mm: MmStruct) -> Zapped:
    """Take a huge page away."""
    pmd = pmd_trans_huge_lock(mm)
    if pmd is None:
        return Zapped()
    mm.pmd.write(Pmd.NONE)
    note("page is gone")
    folio_remove_rmap_pte(pmd.pfn)
    pte_unmap_unlock(mm)
    return Zapped(True, (pmd.pfn,))


@kernel_function("mm/memory.c", quiet=True)
def zap_pte_range(vma: VmArea, start: int, end: int, details: ZapDetails) -> Zapped:
    """Make the PTEs none for good and drop what they map; entries and markers by their kind."""
    mm = vma.vm_mm
    if not pte_offset_map_lock(mm):
        return Zapped()
    flush_tlb_batched_pending(mm)
    cleared = False
    pages: tuple[int, ...] = ()
    for address in range(start, end, PAGE_SIZE):
        gone = _zap_pte(vma, address, details)
        cleared, pages = cleared or gone.cleared, (*pages, *gone.pages)
    pte_unmap_unlock(mm)
    return Zapped(cleared, pages)


def _zap_pte(vma: VmArea, address: int, details: ZapDetails) -> Zapped:
    ptep = vma.vm_mm.pte(address)
    pte = ptep_get(ptep)
    if pte.none:
        return Zapped()
    if pte.kind is PteKind.DEVICE:
        ptep_get_and_clear(ptep)
        folio_remove_rmap_pte(pte.pfn)
        return Zapped(True, (pte.pfn,))
    if not pte.present:
        _ENTRIES[pte.kind](vma, address, pte, details)
        return Zapped()
    return _zap_present(vma, address, details)


def _zap_present(vma: VmArea, address: int, details: ZapDetails) -> Zapped:
    ptep = vma.vm_mm.pte(address)
    pte = ptep_get_and_clear(ptep)
    note("page is gone")
    remembered = pte.uffd_wp and vma.vm_file is not None and not details.drop_markers
    if remembered and vma.vm_flags.read() & Vm.UFFD_WP:
        set_pte_at(ptep, make_pte_marker(PteMarker.UFFD_WP))
    if pte.pfn == ZERO_PFN:
        return Zapped(True)
    if pte.dirty and vma.vm_file is not None and vma.vm_flags.read() & Vm.SHARED:
        change_folio(pte.pfn, dirty=True)
        flush_tlb_mm_range(vma.vm_mm, address, address + PAGE_SIZE)
    folio_remove_rmap_pte(pte.pfn)
    return Zapped(True, (pte.pfn,))


def _zap_swap(vma: VmArea, address: int, pte: Pte, details: ZapDetails) -> None:
    if details.even_cows:
        ptep_get_and_clear(vma.vm_mm.pte(address))
        swap_free(pte.pfn)


def _zap_entry(vma: VmArea, address: int, pte: Pte, details: ZapDetails) -> None:
    if details.even_cows:
        ptep_get_and_clear(vma.vm_mm.pte(address))


def _zap_marker(vma: VmArea, address: int, pte: Pte, details: ZapDetails) -> None:
    """Ordinary zapping leaves guards, and of a file write-protection; both go with the mapping."""
    if pte.marker & PteMarker.UFFD_WP:
        goes = details.drop_markers or vma.vm_file is None
    elif pte.marker & PteMarker.GUARD:
        goes = details.drop_markers
    else:
        goes = details.even_cows
    if goes:
        ptep_get_and_clear(vma.vm_mm.pte(address))


_ENTRIES: dict[PteKind, Callable[[VmArea, int, Pte, ZapDetails], None]] = {
    PteKind.SWAP: _zap_swap,
    PteKind.MIGRATION: _zap_entry,
    PteKind.HWPOISON: _zap_entry,
    PteKind.MARKER: _zap_marker,
}
