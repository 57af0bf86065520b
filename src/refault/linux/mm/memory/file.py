"""Faults on mappings that somebody else fills: files, and drivers' memory (``mm/memory.c``).

``do_fault()`` asks ``->fault`` for the page, except for what ``->map_pages`` can map at once. The
handler answers with ``VM_FAULT_*`` bits; what it is trusted with is the fault lock, which it may
drop if it says RETRY or COMPLETED. Under the lock of a VMA only handlers run that are known not to
mind (those with ``->map_pages``); for all others the fault is retried under mmap_lock.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.include.linux.mm import NO_PAGE, FaultHandler, Found, MapPages
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault, vma_is_accessible
from refault.linux.include.linux.mm_types import VmArea, VmFaultInfo
from refault.linux.include.linux.page import (
    folio_add_file_rmap_pte,
    folio_add_new_anon_rmap,
    folio_of,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import mk_pte, pte_same, ptep_get, set_pte_at
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.memory.anon import (
    NO_MEMORY,
    check_stable_address_space,
    vma_alloc_folio,
    vmf_anon_prepare,
)
from refault.linux.mm.memory.mkwrite import do_page_mkwrite, fault_dirty_shared_page
from refault.linux.mm.mmap_lock import vma_end_read
from refault.linux.mm.page_cache import mapping_evict_folio
from refault.linux.mm.pgtable_generic import pte_alloc, pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.modelled import kernel_function

FAULT_AROUND_PAGES = 16
"""``fault_around_bytes``, 64 KiB unless somebody has changed it."""

_STOP = VmFault.ERROR | VmFault.NOPAGE | VmFault.RETRY


def linear_page_index(vma: VmArea, address: int) -> int:
    """Return which page of its file a VMA has at an address."""
    span = vma.span.read()
    return span.pgoff + (address - span.start) // 0x1000 if span else 0


@kernel_function("mm/memory.c", quiet=True)
def do_fault(vmf: VmFaultInfo) -> VmFault:
    """Fill a hole in a mapping of a file or of a driver."""
    ops = vmf.vma.vm_ops
    vmf = vmf._replace(pgoff=linear_page_index(vmf.vma, vmf.address))
    if ops is None or ops.fault is None:
        return _no_handler(vmf)
    if not vmf.write:
        return do_read_fault(vmf)
    if not vmf.vm_flags & Vm.SHARED:
        return do_cow_fault(vmf, ops.fault)
    return do_shared_fault(vmf, ops.fault)


def _no_handler(vmf: VmFaultInfo) -> VmFault:
    """Look again under the lock: the PTE may have been none for a moment only."""
    if not pte_offset_map_lock(vmf.mm):
        return VmFault.SIGBUS
    none = ptep_get(vmf.mm.pte(vmf.address)).none
    pte_unmap_unlock(vmf.mm)
    return VmFault.SIGBUS if none else VmFault.NOPAGE


@kernel_function("mm/memory.c", quiet=True)
def vmf_can_call_fault(vmf: VmFaultInfo) -> VmFault:
    """Go back for mmap_lock if the handler cannot do with the lock of the VMA."""
    ops = vmf.vma.vm_ops
    if not vmf.flags & FaultFlag.VMA_LOCK or (ops is not None and ops.map_pages is not None):
        return VmFault.NONE
    vma_end_read(vmf.vma)
    return VmFault.RETRY


@kernel_function("mm/memory.c", quiet=True)
def do_read_fault(vmf: VmFaultInfo) -> VmFault:
    """Map what is there already, else ask for the page."""
    ops = vmf.vma.vm_ops
    assert ops is not None
    assert ops.fault is not None
    if ops.map_pages is not None and not vmf.vm_flags & (Vm.UFFD_WP | Vm.UFFD_MINOR):
        fault = do_fault_around(vmf, ops.map_pages)
        if fault:
            return fault
    fault = vmf_can_call_fault(vmf)
    if fault:
        return fault
    ret, page = __do_fault(vmf, ops.fault)
    if ret & _STOP:
        return ret
    ret |= finish_fault(vmf, page)
    folio_unlock(page)
    if ret & _STOP:
        folio_put(page)
    return ret


@kernel_function("mm/memory.c", quiet=True)
def do_fault_around(vmf: VmFaultInfo, map_pages: MapPages) -> VmFault:
    """Map the page and its neighbours, as far as the VMA goes and 64 KiB are aligned."""
    span = vmf.vma.covered()
    around = FAULT_AROUND_PAGES * PAGE_SIZE
    block = vmf.address // around * around
    first = max(block, span.start)
    last = min(first + around, span.end) - PAGE_SIZE
    return map_pages(
        vmf,
        vmf.pgoff - (vmf.address - first) // PAGE_SIZE,
        vmf.pgoff + (last - vmf.address) // PAGE_SIZE,
    )


@kernel_function("mm/memory.c")
def do_cow_fault(vmf: VmFaultInfo, handler: FaultHandler) -> VmFault:
    """A write to a private mapping: copy the page right away."""
    fault = vmf_can_call_fault(vmf) or vmf_anon_prepare(vmf)
    if fault:
        return fault
    copy = vma_alloc_folio()
    if copy == NO_MEMORY:
        return VmFault.OOM
    ret, page = __do_fault(vmf, handler)
    if ret & _STOP:
        folio_put(copy)
        return ret
    if ret & VmFault.DONE_COW:
        return ret
    frame(copy).data.write(frame(page).data.read())
    ret |= finish_fault(vmf, copy)
    folio_unlock(page)
    folio_put(page)
    if ret & _STOP:
        folio_put(copy)
    return ret


@kernel_function("mm/memory.c", quiet=True)
def do_shared_fault(vmf: VmFaultInfo, handler: FaultHandler) -> VmFault:
    """A write to a shared mapping: tell the file system first, and account for the dirty page."""
    fault = vmf_can_call_fault(vmf)
    if fault:
        return fault
    ret, page = __do_fault(vmf, handler)
    if ret & _STOP:
        return ret
    ops = vmf.vma.vm_ops
    if ops is not None and ops.page_mkwrite is not None:
        folio_unlock(page)
        tmp = do_page_mkwrite(vmf, page)
        if not tmp or tmp & (VmFault.ERROR | VmFault.NOPAGE):
            folio_put(page)
            return tmp
    ret |= finish_fault(vmf, page)
    if ret & _STOP:
        folio_unlock(page)
        folio_put(page)
        return ret
    return ret | fault_dirty_shared_page(vmf, page)


@kernel_function("mm/memory.c", label="->fault")
def __do_fault(vmf: VmFaultInfo, handler: FaultHandler) -> Found:
    """Ask for the page and lock it, if the handler has not done so."""
    pte_alloc(vmf.mm)
    found = handler(vmf)
    if isinstance(found, VmFault):
        found = Found(found)
    ret, page = found
    if ret & (_STOP | VmFault.DONE_COW):
        return found
    if page == NO_PAGE:
        raise ValueError(f"->fault of a {vmf.vma.vm_ops} returned {ret!r} and no page")
    if folio_of(page).hwpoison:
        return Found(_poisoned(page, ret))
    if not ret & VmFault.LOCKED:
        folio_lock(page)
    return Found(ret | VmFault.LOCKED, page)


def _poisoned(page: int, ret: VmFault) -> VmFault:
    """Fail, unless a clean page can be dropped so that the next fault reads it anew."""
    gone = False
    if ret & VmFault.LOCKED:
        gone = mapping_evict_folio(page)
        folio_unlock(page)
    folio_put(page)
    return VmFault.NOPAGE if gone else VmFault.HWPOISON


@kernel_function("mm/memory.c", quiet=True)
def finish_fault(vmf: VmFaultInfo, page: int) -> VmFault:
    """Map the page, unless something else is mapped there by now."""
    mm, private = vmf.mm, not vmf.vm_flags & Vm.SHARED
    if private and check_stable_address_space(mm):
        return VmFault.SIGBUS
    pte_alloc(mm)
    if not pte_offset_map_lock(mm):
        return VmFault.NOPAGE
    if not pte_same(ptep_get(mm.pte(vmf.address)), vmf.orig_pte):
        pte_unmap_unlock(mm)
        return VmFault.NOPAGE
    set_pte_range(vmf, page, cow=private and vmf.write)
    pte_unmap_unlock(mm)
    return VmFault.NONE


@kernel_function("mm/memory.c", quiet=True)
def set_pte_range(vmf: VmFaultInfo, page: int, *, cow: bool) -> None:
    """Write the PTE of a page of a file, or of its private copy."""
    flags, ops, wp = vmf.vm_flags, vmf.vma.vm_ops, vmf.orig_pte.uffd_wp
    notify = ops is not None and ops.page_mkwrite is not None
    write = bool(flags & Vm.WRITE) and (vmf.write or bool(flags & Vm.SHARED and not notify))
    none = not vma_is_accessible(flags)
    entry = mk_pte(page, write=write, dirty=vmf.write, uffd_wp=wp, protnone=none)
    with atomic():
        if cow:
            folio_add_new_anon_rmap(page)
            folio_add_lru(page)
        else:
            folio_add_file_rmap_pte(page)
        set_pte_at(vmf.mm.pte(vmf.address), entry)
    note("page is mapped")
