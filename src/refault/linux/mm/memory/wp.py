"""Write faults on present pages (``mm/memory.c``: ``do_wp_page()`` and below).

A private page that belongs to this mapping alone is made writable in place, by one write of the
PTE. Any other is copied: ``wp_page_copy()`` first makes the PTE none and flushes, so that no two
CPUs use different pages, and only then writes the new PTE. Whoever reads the PTE without its lock
in between sees a hole where there never was one. A fault with UNSHARE copies in the same way, and
leaves the copy read-only.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.asm.tlb import flush_tlb_page, mm_tlb_flush_pending
from refault.linux.fs.userfaultfd.fault import handle_userfault, userfaultfd_wp_async
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    folio_add_new_anon_rmap,
    folio_get,
    folio_of,
    folio_put,
    folio_remove_rmap_pte,
    frame,
    set_page_anon_exclusive,
)
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    mk_pte,
    pte_same,
    ptep_clear_flush,
    ptep_get,
    ptep_set_access_flags,
    set_pte_at,
)
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.memory.anon import NO_MEMORY, vma_alloc_folio, vmf_anon_prepare
from refault.linux.mm.memory.mkwrite import wp_page_shared
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
)
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru, lru_add_drain
from refault.linux.mm.swapfile import folio_free_swap
from refault.linux.modelled import kernel_function


@kernel_function("mm/memory.c")
def do_wp_page(vmf: VmFaultInfo) -> VmFault:
    """Handle a write to a present page that is not writable; the caller holds the PTE lock.

    Returns without it.
    """
    unshare, pte = bool(vmf.flags & FaultFlag.UNSHARE), vmf.orig_pte
    if not unshare and vmf.vm_flags & Vm.UFFD_WP:
        if pte.uffd_wp:
            if not userfaultfd_wp_async(vmf.vma):
                pte_unmap_unlock(vmf.mm)
                return handle_userfault(vmf, Vm.UFFD_WP)
            pte = pte._replace(uffd_wp=False)
            set_pte_at(vmf.mm.pte(vmf.address), pte)
            note("unprotected")
            vmf = vmf._replace(orig_pte=pte)
        wp_flush_pending(vmf)
    if vmf.vm_flags & Vm.SHARED:
        return wp_page_shared(vmf)
    pfn = pte.pfn
    if pfn != ZERO_PFN:
        if _is_anon(pfn) and (PageAnonExclusive(pfn) or wp_can_reuse_anon_folio(pfn)):
            set_page_anon_exclusive(pfn, True)
            if unshare:
                pte_unmap_unlock(vmf.mm)
            else:
                wp_page_reuse(vmf)
            return VmFault.NONE
        folio_get(pfn)
    pte_unmap_unlock(vmf.mm)
    return wp_page_copy(vmf)


def _is_anon(pfn: int) -> bool:
    return folio_of(pfn).mapping is None


@kernel_function("mm/memory.c", quiet=True)
def wp_flush_pending(vmf: VmFaultInfo) -> None:
    """Flush the page if its write-protection may not have reached all TLBs yet.

    The page may have been unprotected again before the flush for the protection was done: it would
    be copied while another CPU still writes to it.
    """
    if mm_tlb_flush_pending(vmf.mm):
        flush_tlb_page(vmf.mm, vmf.address)


@kernel_function("mm/memory.c")
def wp_page_reuse(vmf: VmFaultInfo) -> None:
    """Make the page writable where it is, by a single write; leaves the PTE lock."""
    writable = bool(vmf.vm_flags & Vm.WRITE)
    entry = vmf.orig_pte._replace(write=writable, dirty=True, young=True)
    ptep_set_access_flags(vmf.mm.pte(vmf.address), entry)
    pte_unmap_unlock(vmf.mm)


@kernel_function("mm/memory.c", quiet=True)
def wp_can_reuse_anon_folio(pfn: int) -> bool:
    """Tell whether a page that is not marked exclusive is in fact this mapping's alone.

    All its references must be accounted for: one of the mapping, and one of the swap cache. A
    reference of this CPU's LRU batch is dropped first; that of another CPU's makes the answer no.
    """
    folio = folio_of(pfn)
    if folio.ksm or folio.refcount > 3:
        return False
    if folio.lru_batch is not None:
        lru_add_drain(pfn)
    folio = folio_of(pfn)
    if folio.refcount > 1 + (folio.swap is not None) or not folio_trylock(pfn):
        return False
    if folio_of(pfn).swap is not None:
        folio_free_swap(pfn)
    alone = folio_of(pfn).refcount == 1
    folio_unlock(pfn)
    return alone


@kernel_function("mm/memory.c")
def wp_page_copy(vmf: VmFaultInfo) -> VmFault:
    """Copy the page and map the copy; the caller holds a reference on the old one."""
    old = vmf.orig_pte.pfn
    fault = vmf_anon_prepare(vmf)
    new = NO_MEMORY if fault else vma_alloc_folio()
    if new == NO_MEMORY:
        _put(old, 1)
        return fault or VmFault.OOM
    if old != ZERO_PFN:
        frame(new).data.write(frame(old).data.read())
    end = vmf.address + PAGE_SIZE
    range = MmuNotifierRange(vmf.mm, vmf.address, end, MmuNotifyEvent.CLEAR)
    mmu_notifier_invalidate_range_start(range)
    copied = _replace(vmf, old, new)
    mmu_notifier_invalidate_range_end(range)
    _put(old, 1 + copied)
    if not copied:
        folio_put(new)
    return VmFault.NONE


def _put(pfn: int, times: int) -> None:
    for _ in range(times if pfn != ZERO_PFN else 0):
        folio_put(pfn)


def _replace(vmf: VmFaultInfo, old: int, new: int) -> bool:
    """Map the copy if the PTE is still the same; tells whether it was."""
    mm, ptep = vmf.mm, vmf.mm.pte(vmf.address)
    if not pte_offset_map_lock(mm):
        return False
    same = pte_same(ptep_get(ptep), vmf.orig_pte)
    if same:
        wp_install_copy(vmf, new)
        if old != ZERO_PFN:
            folio_remove_rmap_pte(old)
    pte_unmap_unlock(mm)
    return same


@kernel_function("mm/memory.c", quiet=True)
def wp_install_copy(vmf: VmFaultInfo, new: int) -> None:
    """Clear the PTE and flush first, then map the copy: no two CPUs use different pages."""
    ptep, unshare = vmf.mm.pte(vmf.address), vmf.flags & FaultFlag.UNSHARE
    ptep_clear_flush(ptep)
    note("PTE is clear")
    writable = bool(vmf.vm_flags & Vm.WRITE) and not unshare
    uffd_wp = vmf.orig_pte.uffd_wp and bool(unshare)
    with atomic():
        folio_add_new_anon_rmap(new)
        folio_add_lru(new)
        set_pte_at(ptep, mk_pte(new, write=writable, dirty=not unshare, uffd_wp=uffd_wp))
