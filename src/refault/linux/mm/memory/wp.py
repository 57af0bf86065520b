"""Write faults on present pages (``mm/memory.c``: ``do_wp_page()`` and below).

A private page that belongs to this mapping alone is made writable in place, by one write of the
PTE. Any other is copied: ``wp_page_copy()`` first makes the PTE none and flushes, so that no two
CPUs use different pages, and only then writes the new PTE. Whoever reads the PTE without its lock
in between sees a hole where there never was one.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_types import Vm, VmFault, VmFaultInfo
from refault.linux.include.linux.page import (
    PageAnonExclusive,
    alloc_page,
    folio_add_new_anon_rmap,
    folio_get,
    folio_put,
    folio_remove_rmap_pte,
    frame,
    live,
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
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru, lru_add_drain
from refault.linux.modelled import kernel_function


@kernel_function("mm/memory.c")
def do_wp_page(vmf: VmFaultInfo) -> VmFault:
    """Handle a write to a present page that is not writable; the caller holds the PTE lock."""
    if vmf.orig_pte.uffd_wp and vmf.vm_flags & Vm.UFFD_WP:
        pte_unmap_unlock(vmf.mm)
        return handle_userfault(vmf, Vm.UFFD_WP)
    pfn = vmf.orig_pte.pfn
    if pfn != ZERO_PFN:
        if PageAnonExclusive(pfn) or wp_can_reuse_anon_folio(pfn):
            set_page_anon_exclusive(pfn, True)
            wp_page_reuse(vmf)
            return VmFault.NONE
        folio_get(pfn)
    pte_unmap_unlock(vmf.mm)
    return wp_page_copy(vmf)


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

    All its references must be accounted for: one of the mapping. A reference of this CPU's LRU
    batch is dropped first; that of another CPU's makes the answer no.
    """
    folio = live(frame(pfn).folio.read())
    if folio.ksm or folio.refcount > 3:
        return False
    if folio.lru_batch is not None:
        lru_add_drain(pfn)
    if live(frame(pfn).folio.read()).refcount > 1 or not folio_trylock(pfn):
        return False
    alone = live(frame(pfn).folio.read()).refcount == 1
    folio_unlock(pfn)
    return alone


@kernel_function("mm/memory.c")
def wp_page_copy(vmf: VmFaultInfo) -> VmFault:
    """Copy the page and map the copy; the caller holds a reference on the old one."""
    mm, ptep, old = vmf.mm, vmf.mm.pte(vmf.address), vmf.orig_pte.pfn
    new = alloc_page()
    if old != ZERO_PFN:
        frame(new).data.write(frame(old).data.read())
    copied = False
    if pte_offset_map_lock(mm):
        if pte_same(ptep_get(ptep), vmf.orig_pte):
            ptep_clear_flush(ptep)
            note("PTE is clear")
            with atomic():
                folio_add_new_anon_rmap(new)
                folio_add_lru(new)
                set_pte_at(ptep, mk_pte(new, write=bool(vmf.vm_flags & Vm.WRITE), dirty=True))
            if old != ZERO_PFN:
                folio_remove_rmap_pte(old)
            copied = True
        pte_unmap_unlock(mm)
    if old != ZERO_PFN:
        if copied:
            folio_put(old)
        folio_put(old)
    if not copied:
        folio_put(new)
    return VmFault.NONE
