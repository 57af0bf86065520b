"""Faults on anonymous memory that is not there yet (``mm/memory.c``: ``do_anonymous_page()``)."""

from __future__ import annotations

from refault.explore import atomic, choose, note
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault, vma_is_accessible
from refault.linux.include.linux.mm_types import MmStruct, VmFaultInfo
from refault.linux.include.linux.page import alloc_page, folio_add_new_anon_rmap, folio_put
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    mk_pte,
    pte_same,
    ptep_get,
    set_pte_at,
)
from refault.linux.mm.anon_vma import __anon_vma_prepare
from refault.linux.mm.mmap_lock import mmap_read_trylock, mmap_read_unlock, vma_end_read
from refault.linux.mm.pgtable_generic import pte_alloc, pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.modelled import current_kernel, kernel_function

NO_MEMORY = -1
"""What ``vma_alloc_folio()`` returns where there is no page."""


@kernel_function("mm/mempolicy.c", quiet=True)
def vma_alloc_folio() -> int:
    """Allocate for a user's mapping; fails only in stories in which memory runs out."""
    if current_kernel().memory_runs_out and choose("a page", "no memory") == "no memory":
        return NO_MEMORY
    return alloc_page()


@kernel_function("include/linux/oom.h", quiet=True)
def check_stable_address_space(mm: MmStruct) -> VmFault:
    """Refuse to fill memory that the OOM reaper has begun to take away."""
    return VmFault.SIGBUS if mm.unstable.read() else VmFault.NONE


@kernel_function("mm/memory.c", quiet=True)
def __vmf_anon_prepare(vmf: VmFaultInfo) -> VmFault:
    """See to an anon_vma; that takes mmap_lock besides the lock of the VMA."""
    if vmf.vma.anon_vma.read():
        return VmFault.NONE
    if vmf.flags & FaultFlag.VMA_LOCK and not mmap_read_trylock(vmf.mm):
        return VmFault.RETRY
    __anon_vma_prepare(vmf.vma)
    if vmf.flags & FaultFlag.VMA_LOCK:
        mmap_read_unlock(vmf.mm)
    return VmFault.NONE


@kernel_function("mm/internal.h", quiet=True)
def vmf_anon_prepare(vmf: VmFaultInfo) -> VmFault:
    """The same for a fault that gives the lock of the VMA back where it fails."""
    fault = __vmf_anon_prepare(vmf)
    if fault & VmFault.RETRY:
        vma_end_read(vmf.vma)
    return fault


def _page(vmf: VmFaultInfo) -> int | VmFault:
    """Get a page of one's own to fill the hole with."""
    fault = vmf_anon_prepare(vmf)
    if fault:
        return fault
    pfn = vma_alloc_folio()
    return VmFault.OOM if pfn == NO_MEMORY else pfn


@kernel_function("mm/memory.c", quiet=True)
def do_anonymous_page(vmf: VmFaultInfo) -> VmFault:
    """Fill a hole, or tell userfaultfd of it; that is decided under the page-table lock."""
    mm = vmf.mm
    if vmf.vm_flags & Vm.SHARED:
        return VmFault.SIGBUS
    pte_alloc(mm)
    got = _page(vmf) if vmf.write else ZERO_PFN
    if isinstance(got, VmFault):
        return got
    if not pte_offset_map_lock(mm):
        return _give_back(got)
    if not pte_same(ptep_get(mm.pte(vmf.address)), vmf.orig_pte):
        pte_unmap_unlock(mm)
        return _give_back(got)
    refused = check_stable_address_space(mm)
    if refused:
        pte_unmap_unlock(mm)
        _give_back(got)
        return refused
    if vmf.vm_flags & Vm.UFFD_MISSING:
        note("page is missing")
        pte_unmap_unlock(mm)
        _give_back(got)
        return handle_userfault(vmf, Vm.UFFD_MISSING)
    _install(vmf, got)
    pte_unmap_unlock(mm)
    return VmFault.NONE


def _install(vmf: VmFaultInfo, pfn: int) -> None:
    """Map the page; write-protection that a marker stands for is carried over."""
    ptep, wp = vmf.mm.pte(vmf.address), vmf.orig_pte.uffd_wp
    if pfn == ZERO_PFN:
        none = not vma_is_accessible(vmf.vm_flags)
        set_pte_at(ptep, mk_pte(ZERO_PFN, uffd_wp=wp, protnone=none))
        return
    writable = bool(vmf.vm_flags & Vm.WRITE)
    with atomic():
        folio_add_new_anon_rmap(pfn)
        folio_add_lru(pfn)
        set_pte_at(ptep, mk_pte(pfn, write=writable, dirty=writable, uffd_wp=wp))


def _give_back(pfn: int) -> VmFault:
    if pfn != ZERO_PFN:
        folio_put(pfn)
    return VmFault.NONE
