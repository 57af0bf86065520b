"""Writes to shared mappings: telling the file system, paying for dirty pages (``mm/memory.c``)."""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import change_folio, folio_get, folio_of, folio_put
from refault.linux.include.linux.pgtable import pte_same, ptep_get, ptep_set_access_flags
from refault.linux.mm.filemap import (
    balance_dirty_pages_ratelimited,
    folio_lock,
    folio_unlock,
    maybe_unlock_mmap_for_io,
)
from refault.linux.mm.mmap_lock import vma_end_read
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/memory.c", label="->page_mkwrite")
def do_page_mkwrite(vmf: VmFaultInfo, page: int) -> VmFault:
    """Tell the file system that a page is about to be written.

    Returns LOCKED with the folio locked, an error, NOPAGE, or nothing where the page was truncated
    meanwhile. The handler is told WRITE and MKWRITE alone, so it must not say RETRY; if it does, no
    one looks, and the write goes on as if the file system had agreed.
    """
    ops = vmf.vma.vm_ops
    assert ops is not None
    assert ops.page_mkwrite is not None
    told = vmf._replace(flags=FaultFlag.WRITE | FaultFlag.MKWRITE)
    ret = ops.page_mkwrite(told, page)
    if ret & (VmFault.ERROR | VmFault.NOPAGE):
        return ret
    if not ret & VmFault.LOCKED:
        folio_lock(page)
        if folio_of(page).mapping is None:
            folio_unlock(page)
            return VmFault.NONE
    return ret | VmFault.LOCKED


def _dirty(page: int) -> bool:
    with atomic():
        clean = not folio_of(page).dirty
        change_folio(page, dirty=True)
    return clean


@kernel_function("mm/memory.c", quiet=True)
def fault_dirty_shared_page(vmf: VmFaultInfo, page: int) -> VmFault:
    """Account for a page that was just made writable; entered with the folio locked.

    Whoever dirties too much is held back here. On the first attempt of a fault the lock is dropped
    for that, and since the fault is done by then, the answer is COMPLETED.
    """
    ops = vmf.vma.vm_ops
    dirtied = _dirty(page)
    file = vmf.vma.vm_file
    mapped = folio_of(page).mapping is not None
    folio_unlock(page)
    if file is None or not mapped or not (dirtied or (ops and ops.page_mkwrite)):
        return VmFault.NONE
    dropped = maybe_unlock_mmap_for_io(vmf)
    balance_dirty_pages_ratelimited(file)
    return throttled(vmf) if dropped else VmFault.NONE


@kernel_function("mm/memory.c", quiet=True)
def throttled(vmf: VmFaultInfo) -> VmFault:
    """What a fault answers that is done and has dropped its lock to be held back."""
    return VmFault.COMPLETED


@kernel_function("mm/memory.c", quiet=True)
def wp_page_shared(vmf: VmFaultInfo) -> VmFault:
    """Make a page of a shared mapping writable; entered with the page-table lock."""
    mm, page, ops = vmf.mm, vmf.orig_pte.pfn, vmf.vma.vm_ops
    folio_get(page)
    if ops is not None and ops.page_mkwrite is not None:
        pte_unmap_unlock(mm)
        if vmf.flags & FaultFlag.VMA_LOCK and ops.map_pages is None:
            vma_end_read(vmf.vma)
            folio_put(page)
            return VmFault.RETRY
        tmp = do_page_mkwrite(vmf, page)
        if not tmp or tmp & (VmFault.ERROR | VmFault.NOPAGE):
            folio_put(page)
            return tmp
        gone = finish_mkwrite_fault(vmf)
        if gone:
            folio_unlock(page)
            folio_put(page)
            return gone
    else:
        _reuse(vmf)
        folio_lock(page)
    ret = fault_dirty_shared_page(vmf, page)
    folio_put(page)
    return ret


def _reuse(vmf: VmFaultInfo) -> None:
    writable = bool(vmf.vm_flags & Vm.WRITE)
    entry = vmf.orig_pte._replace(write=writable, dirty=True, young=True)
    ptep_set_access_flags(vmf.mm.pte(vmf.address), entry)
    pte_unmap_unlock(vmf.mm)


@kernel_function("mm/memory.c", quiet=True)
def finish_mkwrite_fault(vmf: VmFaultInfo) -> VmFault:
    """Make the PTE writable if it is still the same."""
    if not pte_offset_map_lock(vmf.mm):
        return VmFault.NOPAGE
    if not pte_same(ptep_get(vmf.mm.pte(vmf.address)), vmf.orig_pte):
        pte_unmap_unlock(vmf.mm)
        return VmFault.NOPAGE
    _reuse(vmf)
    return VmFault.NONE


@kernel_function("mm/memory.c", quiet=True)
def wp_pfn_shared(vmf: VmFaultInfo) -> VmFault:
    """A first write to a mapping without pages."""
    raise NotModelled("a write fault on memory without struct pages")
