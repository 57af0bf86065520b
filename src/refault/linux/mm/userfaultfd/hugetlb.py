"""Filling hugetlb pages (``mm/userfaultfd.c``: ``mfill_atomic_hugetlb()``, ``mm/hugetlb.c``)."""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.linux.page import folio_add_new_anon_rmap, folio_put
from refault.linux.include.linux.pgtable import (
    PteMarker,
    make_pte_marker,
    mk_pte,
    ptep_get,
    set_pte_at,
)
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.mm.hugetlb import alloc_hugetlb_folio
from refault.linux.mm.hugetlb_lock import (
    hugetlb_fault_mutex_lock,
    hugetlb_fault_mutex_unlock,
    hugetlb_lock_of,
)
from refault.linux.mm.userfaultfd.pte import bring_folio, mfill_may_replace, write_into_hole
from refault.linux.mm.userfaultfd.request import Fill, Mfill
from refault.linux.modelled import NotModelled, kernel_function


@kernel_function("mm/hugetlb.c")
def mfill_atomic_hugetlb(vma: VmArea, ask: Mfill, dst: int, folio: int) -> tuple[int, int]:
    """Fill a hugetlb page, serialised with faults on it and with unmapping.

    ``hugetlb_mfill_atomic_pte()`` is in it. Returns -errno, and a page that waits for contents.
    """
    hugetlb_fault_mutex_lock(vma.vm_mm, dst)
    down_read(hugetlb_lock_of(vma))
    err, left = _fill_hugetlb(vma, ask, dst, folio)
    up_read(hugetlb_lock_of(vma))
    hugetlb_fault_mutex_unlock(vma.vm_mm, dst)
    return err, left


def _fill_hugetlb(vma: VmArea, ask: Mfill, dst: int, folio: int) -> tuple[int, int]:
    if ask.kind is Fill.CONTINUE:
        raise NotModelled("UFFDIO_CONTINUE on hugetlb memory", "its shared mappings are left out")
    mm, ptep = vma.vm_mm, vma.vm_mm.pte(dst)
    if not mfill_may_replace(ptep_get(ptep)):
        if folio:
            folio_put(folio)
        return -EEXIST, 0
    if ask.kind is Fill.POISON:
        return write_into_hole(vma, dst, make_pte_marker(PteMarker.POISONED)), 0
    err, pfn = bring_folio(ask, dst, folio, alloc_hugetlb_folio)
    if err:
        return err, pfn
    spin_lock(mm.ptl)
    err = 0 if ptep_get(ptep).none_mostly else -EEXIST
    if not err:
        write = bool(vma.vm_flags.read() & Vm.WRITE)
        with atomic():
            folio_add_new_anon_rmap(pfn)
            set_pte_at(ptep, mk_pte(pfn, write=write, dirty=True, uffd_wp=ask.wp))
    spin_unlock(mm.ptl)
    if err:
        folio_put(pfn)
    return err, 0
