"""Page faults from the top down to their kind (``mm/memory.c``).

The kind is decided on a lockless read of the PTE. Each branch then takes the page-table lock,
looks whether the PTE is still the same, and gives up if not: the instruction runs again and
decides anew. So a missing event is never raised for a PTE that is none for a moment only.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_types import FaultFlag, Pmd, Vm, VmArea, VmFault, VmFaultInfo
from refault.linux.include.linux.page import alloc_page, folio_add_new_anon_rmap, folio_put
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    mk_pte,
    pte_same,
    ptep_get,
    ptep_set_access_flags,
    set_pte_at,
)
from refault.linux.include.linux.sched import TASK_RUNNING
from refault.linux.kernel.sched.core import __set_current_state
from refault.linux.mm.memory.numa import do_numa_page
from refault.linux.mm.memory.swap_in import do_swap_page
from refault.linux.mm.memory.wp import do_wp_page
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/memory.c", quiet=True)
def handle_mm_fault(vma: VmArea, address: int, flags: FaultFlag) -> VmFault:
    """Resolve a fault; the caller holds the fault lock.

    With RETRY or COMPLETED in the result the lock has been dropped, else it is still held.
    """
    __set_current_state(TASK_RUNNING)
    vmf = VmFaultInfo(vma, address, flags, vma.vm_flags.read())
    if vmf.write and not vmf.vm_flags & Vm.MAYWRITE:
        return VmFault.SIGSEGV
    return handle_pte_fault(vmf)


@kernel_function("mm/memory.c", quiet=True)
def handle_pte_fault(vmf: VmFaultInfo) -> VmFault:
    """Tell the kinds apart, by a read of the PTE without its lock."""
    mm, ptep = vmf.mm, vmf.mm.pte(vmf.address)
    if mm.pmd.read() is Pmd.NONE:
        raise NotModelled("a fault that allocates a page table")
    orig = ptep_get(ptep)
    vmf = vmf._replace(orig_pte=orig)
    if orig.none:
        return do_anonymous_page(vmf)
    if not orig.present:
        return do_swap_page(vmf)
    if orig.protnone:
        return do_numa_page(vmf)
    if not pte_offset_map_lock(mm):
        return VmFault.NONE
    if not pte_same(ptep_get(ptep), orig):
        pte_unmap_unlock(mm)
        return VmFault.NONE
    entry = orig
    if vmf.write:
        if not orig.write:
            return do_wp_page(vmf)
        entry = entry._replace(dirty=True)
    ptep_set_access_flags(ptep, entry)
    pte_unmap_unlock(mm)
    return VmFault.NONE


def _anonymous(vmf: VmFaultInfo, pfn: int) -> Pte:
    writable = bool(vmf.vm_flags & Vm.WRITE)
    return mk_pte(pfn, write=writable, dirty=writable)


@kernel_function("mm/memory.c", quiet=True)
def do_anonymous_page(vmf: VmFaultInfo) -> VmFault:
    """Fill a hole, or tell userfaultfd of it; that is decided under the page-table lock."""
    mm, ptep = vmf.mm, vmf.mm.pte(vmf.address)
    pfn = alloc_page() if vmf.write else ZERO_PFN
    if not pte_offset_map_lock(mm):
        return _give_back(pfn)
    if not pte_same(ptep_get(ptep), vmf.orig_pte):
        pte_unmap_unlock(mm)
        return _give_back(pfn)
    if vmf.vm_flags & Vm.UFFD_MISSING:
        note("page is missing")
        pte_unmap_unlock(mm)
        _give_back(pfn)
        return handle_userfault(vmf, Vm.UFFD_MISSING)
    if pfn == ZERO_PFN:
        set_pte_at(ptep, mk_pte(ZERO_PFN))
    else:
        with atomic():
            folio_add_new_anon_rmap(pfn)
            folio_add_lru(pfn)
            set_pte_at(ptep, _anonymous(vmf, pfn))
    pte_unmap_unlock(mm)
    return VmFault.NONE


def _give_back(pfn: int) -> VmFault:
    if pfn != ZERO_PFN:
        folio_put(pfn)
    return VmFault.NONE
