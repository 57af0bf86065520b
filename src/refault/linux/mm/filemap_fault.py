"""The fault handlers of ordinary files (``mm/filemap.c``: ``filemap_fault()``).

The page is looked up in the cache, read in if need be, and returned locked. Before a long wait the
fault lock is dropped where that is allowed, and the answer is then RETRY, whatever was found.
``invalidate_lock``, held for reading while a page is brought in, keeps hole punching out.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import restart
from refault.linux.include.linux.fs import AddressSpace
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, vma_is_accessible
from refault.linux.include.linux.mm_types import Pmd, VmFaultInfo
from refault.linux.include.linux.page import (
    alloc_page,
    change_folio,
    folio_add_file_rmap_pte,
    folio_of,
    folio_put,
    folio_try_get,
    frame,
)
from refault.linux.include.linux.pgtable import mk_pte, ptep_get, set_pte_at
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.mm.filemap import (
    folio_lock,
    folio_lock_killable,
    folio_trylock,
    folio_unlock,
    maybe_unlock_mmap_for_io,
)
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.mm.page_cache import cache_insert, cached
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/filemap.c", quiet=True)
def lock_folio_maybe_drop_mmap(vmf: VmFaultInfo, pfn: int, dropped: bool) -> tuple[bool, bool]:
    """Lock a folio; returns whether that was done, and whether the fault lock is dropped by now.

    Under NOWAIT it gives up where it would have to wait, and keeps the fault lock. One that is
    killed while it waits gives the fault lock back: only after RETRY does anybody look for signals.
    """
    if folio_trylock(pfn):
        return True, dropped
    if vmf.flags & FaultFlag.RETRY_NOWAIT:
        return False, dropped
    dropped = maybe_unlock_mmap_for_io(vmf, dropped)
    if not vmf.flags & FaultFlag.KILLABLE:
        folio_lock(pfn)
    elif folio_lock_killable(pfn):
        if not dropped:
            release_fault_lock(vmf)
        return False, True
    return True, dropped


@kernel_function("mm/filemap.c", quiet=True)
def filemap_get_folio(mapping: AddressSpace, index: int) -> int:
    """Find a page of the file in the cache and take a reference; 0 if it is not there."""
    while True:
        restart()
        pfn = cached(mapping, index)
        if not pfn:
            return 0
        if not folio_try_get(pfn):
            continue
        if cached(mapping, index) == pfn:
            return pfn
        folio_put(pfn)


@kernel_function("mm/filemap.c", quiet=True)
def __filemap_get_folio(mapping: AddressSpace, index: int) -> int:
    """Find the page, or put a new one that is not read yet into the cache (``FGP_CREAT``)."""
    while True:
        restart()
        pfn = filemap_get_folio(mapping, index)
        if pfn:
            return pfn
        new = alloc_page()
        change_folio(new, uptodate=False)
        if not cache_insert(mapping, index, new):
            return new
        folio_put(new)


@kernel_function("mm/filemap.c", quiet=True)
def filemap_read_folio(mapping: AddressSpace, index: int, pfn: int) -> None:
    """Read a locked page from the storage; unlocks it."""
    frame(pfn).data.write(mapping.disk[index].read())
    change_folio(pfn, uptodate=True)
    folio_unlock(pfn)


def filemap_fault_recheck_pte_none(vmf: VmFaultInfo) -> bool:
    """Look whether the PTE is still none before starting I/O; tells whether it is not."""
    if vmf.mm.pmd.read() is not Pmd.TABLE:
        return False
    return not ptep_get(vmf.mm.pte(vmf.address)).none


class Brought(NamedTuple):
    """A page that was brought in and locked, or 0; and what else has become of the locks."""

    pfn: int
    dropped: bool
    invalidate: bool


@kernel_function("mm/filemap.c")
def filemap_fault(vmf: VmFaultInfo) -> Found:
    """Find the page of the file; returns it locked."""
    file = vmf.vma.vm_file
    assert file is not None
    mapping, ret, dropped = file.mapping, VmFault.NONE, False
    if vmf.pgoff >= mapping.i_size.read():
        return Found(VmFault.SIGBUS)
    pfn = filemap_get_folio(mapping, vmf.pgoff)
    if not pfn:
        if filemap_fault_recheck_pte_none(vmf):
            return Found(VmFault.NOPAGE)
        ret, dropped = VmFault.MAJOR, maybe_unlock_mmap_for_io(vmf)
    page = bring_in(vmf, mapping, pfn, dropped)
    if page.invalidate:
        up_read(mapping.invalidate_lock)
    if page.dropped or not page.pfn:
        return Found(ret | _give_back(page.pfn, VmFault.RETRY))
    if vmf.pgoff >= mapping.i_size.read():
        return Found(_give_back(page.pfn, VmFault.SIGBUS))
    return Found(ret | VmFault.LOCKED, page.pfn)


def _give_back(pfn: int, answer: VmFault) -> VmFault:
    if pfn:
        folio_unlock(pfn)
        folio_put(pfn)
    return answer


@kernel_function("mm/filemap.c", quiet=True)
def bring_in(vmf: VmFaultInfo, mapping: AddressSpace, pfn: int, dropped: bool) -> Brought:
    """Lock the page, reading it first if need be: from ``retry_find`` on.

    ``pfn`` is the page that was found already, with a reference, or 0. A page that is not read
    yet is only touched under ``invalidate_lock``.
    """
    held = False
    while True:
        restart(pfn, dropped, held)
        if not held and not (pfn and folio_of(pfn).uptodate):
            down_read(mapping.invalidate_lock)
            held = True
        pfn = pfn or __filemap_get_folio(mapping, vmf.pgoff)
        locked, dropped = lock_folio_maybe_drop_mmap(vmf, pfn, dropped)
        if not locked:
            folio_put(pfn)
            return Brought(0, dropped, held)
        folio = folio_of(pfn)
        if folio.mapping != (mapping.name, vmf.pgoff) or not (folio.uptodate or held):
            folio_unlock(pfn)
        elif folio.uptodate:
            return Brought(pfn, dropped, held)
        else:
            dropped = maybe_unlock_mmap_for_io(vmf, dropped)
            filemap_read_folio(mapping, vmf.pgoff, pfn)
        folio_put(pfn)
        pfn = 0


@kernel_function("mm/filemap.c", quiet=True)
def next_uptodate_folio(mapping: AddressSpace, first: int, last: int) -> tuple[int, int]:
    """Find the next page in the cache that nobody has locked; its index and frame, or (0, 0).

    It comes locked, and with a reference.
    """
    for index in range(first, last + 1):
        pfn = cached(mapping, index)
        if not pfn or not folio_try_get(pfn):
            continue
        if folio_trylock(pfn):
            folio = folio_of(pfn)
            here = folio.mapping == (mapping.name, index) and folio.uptodate
            if here and index < mapping.i_size.read():
                return index, pfn
            folio_unlock(pfn)
        folio_put(pfn)
    return 0, 0


@kernel_function("mm/filemap.c")
def filemap_map_pages(vmf: VmFaultInfo, first: int, last: int) -> VmFault:
    """Map those pages of a range of the file that are in the cache and not locked; never waits."""
    file = vmf.vma.vm_file
    assert file is not None
    mapping, ret = file.mapping, VmFault.NONE
    index, pfn = next_uptodate_folio(mapping, first, last)
    if not pfn:
        return ret
    if not pte_offset_map_lock(vmf.mm):
        folio_unlock(pfn)
        folio_put(pfn)
        return ret
    while pfn:
        ret |= filemap_map_order0_folio(vmf, pfn, index)
        folio_unlock(pfn)
        index, pfn = next_uptodate_folio(mapping, index + 1, last)
    pte_unmap_unlock(vmf.mm)
    return ret


@kernel_function("mm/filemap.c", quiet=True)
def filemap_map_order0_folio(vmf: VmFaultInfo, pfn: int, index: int) -> VmFault:
    """Map a page where nothing is, not even a marker; NOPAGE for the one that was asked for."""
    address = vmf.address + (index - vmf.pgoff) * PAGE_SIZE
    ptep = vmf.mm.pte(address)
    if not ptep_get(ptep).none:
        folio_put(pfn)
        return VmFault.NONE
    folio_add_file_rmap_pte(pfn)
    set_pte_at(ptep, mk_pte(pfn, protnone=not vma_is_accessible(vmf.vm_flags)))
    return VmFault.NOPAGE if index == vmf.pgoff else VmFault.NONE


@kernel_function("mm/filemap.c")
def filemap_page_mkwrite(vmf: VmFaultInfo, pfn: int) -> VmFault:
    """Lock the page for a first write, unless it was truncated."""
    folio_lock(pfn)
    if folio_of(pfn).mapping is None:
        folio_unlock(pfn)
        return VmFault.NOPAGE
    change_folio(pfn, dirty=True)
    return VmFault.LOCKED


generic_file_vm_ops = VmOperations(
    fault=filemap_fault,
    page_mkwrite=filemap_page_mkwrite,
    map_pages=filemap_map_pages,
    name="file",
)
"""What a file system of no particular kind gives its mappings."""
