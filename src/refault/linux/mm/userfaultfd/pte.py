"""Filling one page (``mm/userfaultfd.c``: ``mfill_atomic_pte()`` and below).

A hole of shared tmpfs is one of the file: COPY and ZEROPAGE put a page into its cache and map it,
CONTINUE maps what is in the cache already. A private mapping gets a page of its own.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import atomic, note
from refault.linux.include.linux.fs import AddressSpace
from refault.linux.include.linux.mm_flags import vma_is_accessible
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.linux.page import (
    alloc_page,
    folio_add_file_rmap_pte,
    folio_add_new_anon_rmap,
    folio_of,
    folio_put,
    frame,
)
from refault.linux.include.linux.pgtable import (
    ZERO_PFN,
    Pte,
    PteMarker,
    make_pte_marker,
    mk_pte,
    ptep_get,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EAGAIN, EEXIST, EFAULT, EIO, ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.filemap_fault import filemap_get_folio
from refault.linux.mm.page_cache import cache_insert, filemap_remove_folio
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.mm.swap import folio_add_lru
from refault.linux.mm.userfaultfd.copy import copy_with_faults_disabled
from refault.linux.mm.userfaultfd.request import NEEDS_FAULT, Fill, Mfill
from refault.linux.modelled import kernel_function


def bring_folio(ask: Mfill, dst: int, folio: int, alloc: Callable[[], int]) -> tuple[int, int]:
    """Get a page with the contents; -errno, and the page. ``folio`` is one that has them."""
    pfn = folio or alloc()
    if not pfn:
        return -ENOMEM, 0
    if not folio and ask.kind is Fill.COPY:
        data = copy_with_faults_disabled(ask.source, dst - ask.dst)
        if data is None:
            return NEEDS_FAULT, pfn
        frame(pfn).data.write(data)
    return 0, pfn


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_atomic_pte_copy(vma: VmArea, ask: Mfill, dst: int, folio: int) -> tuple[int, int]:
    """Copy the source into a new page and map that; ``folio`` is one that is copied already."""
    err, pfn = bring_folio(ask, dst, folio, alloc_page)
    if err:
        return err, pfn
    err = mfill_atomic_install_pte(vma, dst, pfn, ask.wp)
    if err:
        folio_put(pfn)
    return err, 0


@kernel_function("mm/shmem.c")
def shmem_mfill_atomic_pte(vma: VmArea, ask: Mfill, dst: int, folio: int) -> tuple[int, int]:
    """Put a new page into the file and map it; what is in the file already is not replaced."""
    err, pfn = bring_folio(ask, dst, folio, alloc_page)
    if err:
        return err, pfn
    mapping, index = file_page(vma, dst)
    folio_lock(pfn)
    err = beyond_the_end(vma, dst)
    if not err and cache_insert(mapping, index, pfn):
        err = -EEXIST
    if not err:
        err = mfill_atomic_install_pte(vma, dst, pfn, ask.wp)
        if err:
            filemap_remove_folio(pfn)
    folio_unlock(pfn)
    if err:
        folio_put(pfn)
    return err, 0


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_pte_continue(vma: VmArea, dst: int, wp: bool) -> int:
    """Map the page that the file has."""
    mapping, index = file_page(vma, dst)
    pfn = filemap_get_folio(mapping, index)
    if not pfn:
        return -EFAULT
    folio_lock(pfn)
    err = -EIO if folio_of(pfn).hwpoison else 0
    if folio_of(pfn).mapping != (mapping.name, index):
        err = -EFAULT
    err = err or mfill_atomic_install_pte(vma, dst, pfn, wp)
    folio_unlock(pfn)
    if err:
        folio_put(pfn)
    return err


@kernel_function("mm/userfaultfd.c", quiet=True)
def mfill_may_replace(pte: Pte) -> bool:
    """Tell whether a page may be put here: in a hole, or in the place of a marker."""
    return pte.none_mostly


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_install_pte(vma: VmArea, dst: int, pfn: int, wp: bool) -> int:
    """Map a page in a hole, or where there is but a marker; 0 or -errno.

    A page that is in a file is mapped as that; a private mapping gets it read-only.
    """
    mm, ptep, vm_flags = vma.vm_mm, vma.vm_mm.pte(dst), vma.vm_flags.read()
    in_cache = folio_of(pfn).mapping is not None
    if not pte_offset_map_lock(mm):
        return -EAGAIN
    err = beyond_the_end(vma, dst) or (0 if mfill_may_replace(ptep_get(ptep)) else -EEXIST)
    if err:
        pte_unmap_unlock(mm)
        return err
    write = bool(vm_flags & Vm.WRITE) and (not in_cache or bool(vm_flags & Vm.SHARED))
    with atomic():
        if in_cache:
            folio_add_file_rmap_pte(pfn)
        else:
            folio_add_new_anon_rmap(pfn)
            folio_add_lru(pfn)
        none = not vma_is_accessible(vm_flags)
        set_pte_at(ptep, mk_pte(pfn, write=write, dirty=True, uffd_wp=wp, protnone=none))
    if wp:
        note("write-protected")
    pte_unmap_unlock(mm)
    return 0


def file_page(vma: VmArea, address: int) -> tuple[AddressSpace, int]:
    """Return the file that is mapped at an address, and which page of it."""
    assert vma.vm_file is not None
    span = vma.covered()
    return vma.vm_file.mapping, span.pgoff + (address - span.start) // PAGE_SIZE


@kernel_function("mm/userfaultfd.c", quiet=True)
def beyond_the_end(vma: VmArea, address: int) -> int:
    """Look whether the file is long enough; 0 or -EFAULT."""
    if vma.vm_file is None:
        return 0
    mapping, index = file_page(vma, address)
    return -EFAULT if index >= mapping.i_size.read() else 0


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_pte_zeropage(vma: VmArea, dst: int) -> int:
    """Map the zero page in a hole, read-only."""
    none = not vma_is_accessible(vma.vm_flags.read())
    return write_into_hole(vma, dst, mk_pte(ZERO_PFN, protnone=none))


@kernel_function("mm/userfaultfd.c")
def mfill_atomic_pte_poison(vma: VmArea, dst: int) -> int:
    """Write a marker into a hole: who accesses it gets a bus error."""
    return write_into_hole(vma, dst, make_pte_marker(PteMarker.POISONED))


def write_into_hole(vma: VmArea, dst: int, pte: Pte) -> int:
    """Write what is no page where nothing is; not even a marker is replaced. 0 or -errno."""
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(dst)
    if not pte_offset_map_lock(mm):
        return -EAGAIN
    err = beyond_the_end(vma, dst) or (0 if ptep_get(ptep).none else -EEXIST)
    if not err:
        set_pte_at(ptep, pte)
    pte_unmap_unlock(mm)
    return err
