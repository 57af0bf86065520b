"""Huge pages of anonymous memory (``mm/huge_memory.c``), as far as a PMD entry goes.

A huge page is mapped by the PMD entry itself, whose lock is the page-table lock here. Writers that
clear the entry for a moment are seen by whoever looks at it without the lock: to zap, "none" means
that there is nothing to do.

One frame stands for the huge page, so all pages below the entry have the same contents. Left out
are splitting, copying a huge page on a write, huge zero pages and moving one to another node.
"""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import HugePmd, Pmd, VmFaultInfo
from refault.linux.include.linux.page import PageAnonExclusive, folio_add_new_anon_rmap, folio_put
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.memory.anon import (
    NO_MEMORY,
    check_stable_address_space,
    vma_alloc_folio,
    vmf_anon_prepare,
)
from refault.linux.mm.pgtable_generic import pmd_trans_huge_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("include/linux/huge_mm.h", quiet=True)
def thp_vma_allowable_order(vmf: VmFaultInfo) -> bool:
    """Tell whether the mapping wants huge pages."""
    return bool(vmf.vm_flags & Vm.HUGEPAGE) and vmf.vma.vm_file is None


@kernel_function("mm/memory.c", quiet=True)
def create_huge_pmd(vmf: VmFaultInfo) -> VmFault:
    """Fill an empty PMD entry with a huge page."""
    return do_huge_pmd_anonymous_page(vmf)


@kernel_function("mm/huge_memory.c")
def do_huge_pmd_anonymous_page(vmf: VmFaultInfo) -> VmFault:
    """Allocate a huge page and map it, or tell userfaultfd; FALLBACK asks for small ones."""
    fault = vmf_anon_prepare(vmf)
    if fault:
        return fault
    pfn = vma_alloc_folio()
    if pfn == NO_MEMORY:
        return VmFault.FALLBACK
    spin_lock(vmf.mm.ptl)
    refused = check_stable_address_space(vmf.mm)
    missing = not refused and bool(vmf.vm_flags & Vm.UFFD_MISSING)
    mapped = not refused and not missing and vmf.mm.pmd.read() is Pmd.NONE
    if mapped:
        with atomic():
            folio_add_new_anon_rmap(pfn)
            folio_add_lru(pfn)
            writable = bool(vmf.vm_flags & Vm.WRITE)
            vmf.mm.pmd.write(HugePmd(pfn, writable, writable))
    spin_unlock(vmf.mm.ptl)
    if missing:
        return huge_page_is_missing(vmf, pfn)
    if not mapped:
        folio_put(pfn)
    return refused


@kernel_function("mm/huge_memory.c", quiet=True)
def huge_page_is_missing(vmf: VmFaultInfo, pfn: int) -> VmFault:
    """Give back what was allocated, and only then wait: afterwards the VMA may be gone."""
    folio_put(pfn)
    return handle_userfault(vmf, Vm.UFFD_MISSING)


@kernel_function("mm/memory.c", quiet=True)
def wp_huge_pmd(vmf: VmFaultInfo, orig: HugePmd) -> VmFault:
    """Make a huge page writable that belongs to this mapping alone."""
    if not vmf.vm_flags & Vm.WRITE or not PageAnonExclusive(orig.pfn):
        raise NotModelled("a write to a huge page that is shared", "the kernel splits or copies it")
    return huge_pmd_set_accessed(vmf, orig)


@kernel_function("mm/huge_memory.c", quiet=True)
def huge_pmd_set_accessed(vmf: VmFaultInfo, orig: HugePmd) -> VmFault:
    """Make the entry fit for the access if it is still the same."""
    pmd = pmd_trans_huge_lock(vmf.mm)
    if pmd is None:
        return VmFault.NONE
    if pmd == orig and vmf.flags & FaultFlag.WRITE:
        vmf.mm.pmd.write(pmd._replace(write=True, dirty=True))
    pte_unmap_unlock(vmf.mm)
    return VmFault.NONE


@kernel_function("mm/huge_memory.c")
def do_huge_pmd_numa_page(vmf: VmFaultInfo, orig: HugePmd) -> VmFault:
    """Make a huge page that NUMA balancing has marked accessible again."""
    pmd = pmd_trans_huge_lock(vmf.mm)
    if pmd is None:
        return VmFault.NONE
    if pmd == orig:
        vmf.mm.pmd.write(pmd._replace(protnone=False, write=bool(vmf.vm_flags & Vm.WRITE)))
    pte_unmap_unlock(vmf.mm)
    return VmFault.NONE
