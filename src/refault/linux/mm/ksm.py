"""Merging pages of equal contents (``mm/ksm.c``).

``ksmd`` holds mmap_lock for reading and the folio lock. It first makes the page read-only and then
maps the shared page in its place; either writes none first.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.asm.tlb import mm_tlb_flush_pending
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    folio_add_anon_rmap_pte,
    folio_get,
    folio_put,
    folio_remove_rmap_pte,
    frame,
    live,
    set_page_anon_exclusive,
)
from refault.linux.include.linux.pgtable import (
    Pte,
    mk_pte,
    pte_same,
    ptep_clear_flush,
    ptep_get,
    set_pte_at,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.migrate import isolate_folio
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.rmap import page_vma_mapped_walk
from refault.linux.modelled import kernel_function


@kernel_function("mm/ksm.c")
def try_to_merge_with_ksm_page(vma: VmArea, address: int, kpage: int) -> bool:
    """Map the KSM page ``kpage`` at ``address`` in the place of an equal page."""
    mm = vma.vm_mm
    mmap_read_lock(mm)
    merged = False
    pfn = isolate_folio(mm, address)
    if pfn:
        merged = try_to_merge_one_page(vma, address, pfn, kpage)
        folio_put(pfn)
    mmap_read_unlock(mm)
    return merged


@kernel_function("mm/ksm.c", quiet=True)
def try_to_merge_one_page(vma: VmArea, address: int, pfn: int, kpage: int) -> bool:
    """Merge under the folio lock, unless it is contended or the pages differ."""
    if not folio_trylock(pfn):
        return False
    merged = False
    orig = write_protect_page(vma, address, pfn)
    if orig is not None and frame(pfn).data.read() == frame(kpage).data.read():
        merged = replace_page(vma, address, pfn, kpage, orig)
    folio_unlock(pfn)
    return merged


@kernel_function("mm/ksm.c")
def write_protect_page(vma: VmArea, address: int, pfn: int) -> Pte | None:
    """Make the page read-only and clean, by way of none; returns the PTE, or None."""
    range = _range(vma, address)
    mmu_notifier_invalidate_range_start(range)
    entry = _write_protect(vma, address, pfn)
    mmu_notifier_invalidate_range_end(range)
    return entry


def _range(vma: VmArea, address: int) -> MmuNotifierRange:
    return MmuNotifierRange(vma.vm_mm, address, address + PAGE_SIZE, MmuNotifyEvent.CLEAR)


def _write_protect(vma: VmArea, address: int, pfn: int) -> Pte | None:
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(address)
    if not page_vma_mapped_walk(mm, address, pfn):
        return None
    entry = ptep_get(ptep)
    exclusive = PageAnonExclusive(pfn)
    if entry.write or entry.dirty or exclusive or mm_tlb_flush_pending(mm):
        entry = ptep_clear_flush(ptep)
        note("PTE is clear")
        folio = live(frame(pfn).folio.read())
        if folio.mapcount + 1 != folio.refcount:
            set_pte_at(ptep, entry)
            pte_unmap_unlock(mm)
            return None
        entry = entry._replace(write=False, dirty=False)
        with atomic():
            set_page_anon_exclusive(pfn, False)
            set_pte_at(ptep, entry)
    pte_unmap_unlock(mm)
    return entry


@kernel_function("mm/ksm.c")
def replace_page(vma: VmArea, address: int, pfn: int, kpage: int, orig: Pte) -> bool:
    """Map ``kpage`` instead, if the PTE is still as ``write_protect_page()`` left it."""
    range = _range(vma, address)
    mmu_notifier_invalidate_range_start(range)
    replaced = _replace(vma, address, pfn, kpage, orig)
    mmu_notifier_invalidate_range_end(range)
    return replaced


def _replace(vma: VmArea, address: int, pfn: int, kpage: int, orig: Pte) -> bool:
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(address)
    if not pte_offset_map_lock(mm):
        return False
    if not pte_same(ptep_get(ptep), orig):
        pte_unmap_unlock(mm)
        return False
    folio_get(kpage)
    folio_add_anon_rmap_pte(kpage, exclusive=False)
    ptep_clear_flush(ptep)
    note("PTE is clear")
    set_pte_at(ptep, mk_pte(kpage))
    folio_remove_rmap_pte(pfn)
    folio_put(pfn)
    pte_unmap_unlock(mm)
    return True
