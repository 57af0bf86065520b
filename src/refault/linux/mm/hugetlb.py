"""Faults on hugetlb pages (``mm/hugetlb.c``), for private mappings.

Huge pages come from a pool of a fixed size; a fault that finds it empty ends in SIGBUS. Faults on
the same page of the same file are serialised by a mutex from a table of hashes, and the lock of the
mapping (``hugetlb_vma_lock``) keeps whoever unmaps apart from faults until the page is back in the
pool. A hugetlb page is one entry of the page table here, as a small page is.

Left out are reservations (each page is taken from the pool when it is touched first), shared
mappings and what they need of the page cache, copying after fork, and write-protection by
userfaultfd.
"""

from __future__ import annotations

from refault.explore import atomic, note
from refault.linux.fs.userfaultfd.fault import handle_userfault
from refault.linux.include.linux.mm_flags import Vm, VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.linux.page import (
    HUGE_POOL,
    alloc_from,
    folio_add_new_anon_rmap,
    folio_put,
)
from refault.linux.include.linux.pgtable import (
    PteKind,
    PteMarker,
    mk_pte,
    pte_same,
    ptep_get,
    ptep_set_access_flags,
    set_pte_at,
)
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.filemap import folio_wait_locked
from refault.linux.mm.hugetlb_lock import (
    hugetlb_fault_mutex_lock,
    hugetlb_fault_mutex_unlock,
    hugetlb_lock_of,
)
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/hugetlb.c")
def hugetlb_fault(vmf: VmFaultInfo) -> VmFault:
    """Resolve a fault on a hugetlb page: under the mutex of the page, and the lock of the mapping.

    Both are given back before the fault waits, for userfaultfd or for a page that is moved.
    """
    hugetlb_fault_mutex_lock(vmf.mm, vmf.address)
    hugetlb_vma_lock_read(vmf)
    orig = ptep_get(vmf.mm.pte(vmf.address))
    vmf = vmf._replace(orig_pte=orig)
    if orig.none_mostly:
        return hugetlb_no_page(vmf)
    if not orig.present:
        return _entry(vmf)
    if vmf.write and not orig.write:
        raise NotModelled("a write to a hugetlb page that is read-only")
    spin_lock(vmf.mm.ptl)
    ptep = vmf.mm.pte(vmf.address)
    if pte_same(ptep_get(ptep), orig):
        ptep_set_access_flags(ptep, orig._replace(dirty=orig.dirty or vmf.write))
    spin_unlock(vmf.mm.ptl)
    _unlock(vmf)
    return VmFault.NONE


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_vma_lock_read(vmf: VmFaultInfo) -> None:
    """Keep the mapping from being unmapped."""
    down_read(hugetlb_lock_of(vmf.vma))


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_vma_unlock_read(vmf: VmFaultInfo) -> None:
    """Let the mapping be unmapped again."""
    up_read(hugetlb_lock_of(vmf.vma))


def _unlock(vmf: VmFaultInfo) -> None:
    hugetlb_vma_unlock_read(vmf)
    hugetlb_fault_mutex_unlock(vmf.mm, vmf.address)


def _entry(vmf: VmFaultInfo) -> VmFault:
    """Wait for the end of a migration, or report poison."""
    _unlock(vmf)
    if vmf.orig_pte.kind is PteKind.MIGRATION:
        folio_wait_locked(vmf.orig_pte.pfn)
        return VmFault.NONE
    return VmFault.HWPOISON_LARGE | _hindex()


def _hindex() -> VmFault:
    """``VM_FAULT_SET_HINDEX()`` of the one size of huge pages that there is."""
    return VmFault(1 << 16)


@kernel_function("mm/hugetlb.c")
def hugetlb_no_page(vmf: VmFaultInfo) -> VmFault:
    """Fill a hole from the pool; entered with both locks, which it gives back."""
    marker = vmf.orig_pte.marker
    if marker & PteMarker.POISONED:
        _unlock(vmf)
        return VmFault.HWPOISON_LARGE | _hindex()
    if vmf.vm_flags & Vm.UFFD_MISSING:
        stable = hugetlb_pte_stable(vmf)
        _unlock(vmf)
        return handle_userfault(vmf, Vm.UFFD_MISSING) if stable else VmFault.NONE
    pfn = alloc_hugetlb_folio()
    if not pfn:
        fault = hugetlb_alloc_failed(vmf)
        _unlock(vmf)
        return fault
    _map(vmf, pfn)
    _unlock(vmf)
    return VmFault.NONE


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_alloc_failed(vmf: VmFaultInfo) -> VmFault:
    """The pool is empty: a bus error, unless the hole was but a moment's and is filled again."""
    return VmFault.SIGBUS if hugetlb_pte_stable(vmf) else VmFault.NONE


def _map(vmf: VmFaultInfo, pfn: int) -> None:
    mm, ptep = vmf.mm, vmf.mm.pte(vmf.address)
    spin_lock(mm.ptl)
    same = pte_same(ptep_get(ptep), vmf.orig_pte)
    if same:
        writable = bool(vmf.vm_flags & Vm.WRITE)
        with atomic():
            folio_add_new_anon_rmap(pfn)
            set_pte_at(ptep, mk_pte(pfn, write=writable, dirty=writable))
    spin_unlock(mm.ptl)
    if not same:
        folio_put(pfn)


@kernel_function("mm/hugetlb.c", quiet=True)
def hugetlb_pte_stable(vmf: VmFaultInfo) -> bool:
    """Look again under the page-table lock whether the entry is as the lockless look saw it."""
    spin_lock(vmf.mm.ptl)
    same = pte_same(ptep_get(vmf.mm.pte(vmf.address)), vmf.orig_pte)
    spin_unlock(vmf.mm.ptl)
    return same


@kernel_function("mm/hugetlb.c")
def alloc_hugetlb_folio() -> int:
    """Take a page from the pool; 0 if it is empty."""
    pfn = alloc_from(HUGE_POOL)
    note("a huge page" if pfn else "the pool is empty")
    return pfn
