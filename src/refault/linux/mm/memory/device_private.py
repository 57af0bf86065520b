"""Faults on pages that are in the memory of a device (``mm/memory.c``: ``do_swap_page()``)."""

from __future__ import annotations

from refault.linux.include.linux.memremap import DevPagemap
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import folio_get, folio_put, frame
from refault.linux.include.linux.pgtable import pte_same, ptep_get
from refault.linux.mm.filemap import folio_trylock, folio_unlock
from refault.linux.mm.mmap_lock import vma_end_read
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import current_kernel, kernel_function


@kernel_function("mm/memory.c", label="do_swap_page(device private)")
def do_device_private(vmf: VmFaultInfo) -> VmFault:
    """Have the device bring the page back, which needs mmap_lock."""
    if vmf.flags & FaultFlag.VMA_LOCK:
        vma_end_read(vmf.vma)
        return VmFault.RETRY
    pfn = lock_device_page(vmf)
    if not pfn:
        return VmFault.NONE
    ret = pgmap_of(pfn).migrate_to_ram(vmf, pfn, pfn)
    put_device_page(pfn)
    return ret


def pgmap_of(pfn: int) -> DevPagemap:
    """``page_pgmap()``: the device whose memory a page is in."""
    return current_kernel().pgmaps[frame(pfn).cpu]


@kernel_function("mm/memory.c", quiet=True)
def lock_device_page(vmf: VmFaultInfo) -> int:
    """Take a reference and the lock of the page while it still is mapped; 0 if not, or locked."""
    if not pte_offset_map_lock(vmf.mm):
        return 0
    pfn = 0
    pte = ptep_get(vmf.mm.pte(vmf.address))
    if pte_same(pte, vmf.orig_pte) and folio_trylock(pte.pfn):
        pfn = pte.pfn
        folio_get(pfn)
    pte_unmap_unlock(vmf.mm)
    return pfn


@kernel_function("mm/memory.c", quiet=True)
def put_device_page(pfn: int) -> None:
    """Unlock it and put it."""
    folio_unlock(pfn)
    folio_put(pfn)
