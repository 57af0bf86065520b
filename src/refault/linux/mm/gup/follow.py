"""From an address to a page, without a fault (``mm/gup.c``: ``follow_page_mask()`` and below)."""

from __future__ import annotations

from enum import Enum

from refault.explore import atomic
from refault.linux.include.linux.foll import Foll
from refault.linux.include.linux.mm_flags import Vm, is_cow_mapping
from refault.linux.include.linux.mm_types import HugePmd, VmArea
from refault.linux.include.linux.page import PageAnonExclusive, change_folio, folio_get, folio_of
from refault.linux.include.linux.pgtable import ZERO_PFN, Pte, ptep_get
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.mm.pgtable_generic import pte_offset_map_lock, pte_unmap_unlock
from refault.linux.modelled import NotModelled, kernel_function


class Follow(Enum):
    """Why there is no page yet."""

    FAULT = "a fault is needed"
    UNSHARE = "the page is shared, and must not be while it is pinned"


FAULT, UNSHARE = Follow.FAULT, Follow.UNSHARE

_ACCESS = Vm.READ | Vm.WRITE | Vm.EXEC


@kernel_function("mm/gup.c", quiet=True)
def follow_page_mask(vma: VmArea, address: int, foll: Foll) -> int | Follow:
    """Return the frame of an address with a reference to it, -errno, or what must happen first."""
    if isinstance(vma.vm_mm.pmd.read(), HugePmd):
        raise NotModelled("GUP of a huge page")
    return follow_page_pte(vma, address, foll)


@kernel_function("mm/gup.c", quiet=True)
def follow_page_pte(vma: VmArea, address: int, foll: Foll) -> int | Follow:
    """Look at the PTE, under its lock, and take a reference to the page if it will do."""
    mm = vma.vm_mm
    if not pte_offset_map_lock(mm):
        return _nothing(vma, foll)
    pte = ptep_get(mm.pte(address))
    found: int | Follow = _fit(vma, pte, foll)
    if not isinstance(found, Follow) and found >= 0:
        found = gup_must_unshare(vma, found, foll) or try_grab_folio(found, foll)
    elif not pte.present:
        found = _nothing(vma, foll)
    pte_unmap_unlock(mm)
    return found


def _nothing(vma: VmArea, foll: Foll) -> int | Follow:
    """No page: a core dump leaves a hole where a fault could only give zeroes."""
    return -EFAULT if foll & Foll.DUMP and vma.vm_file is None else FAULT


def _fit(vma: VmArea, pte: Pte, foll: Foll) -> int | Follow:
    vm_flags = vma.vm_flags.read()
    if not pte.present:
        return FAULT
    if pte.protnone and foll & Foll.HONOR_NUMA_FAULT and vm_flags & _ACCESS:
        return FAULT
    if foll & Foll.WRITE and not can_follow_write_pte(pte, vm_flags, foll):
        return FAULT
    if pte.pfn == ZERO_PFN and foll & Foll.DUMP:
        return -EFAULT
    return pte.pfn


@kernel_function("mm/gup.c", quiet=True)
def can_follow_write_pte(pte: Pte, vm_flags: Vm, foll: Foll) -> bool:
    """Tell whether a page may be written through a PTE.

    By FOLL_FORCE also where it is read-only, if a write fault has made it this mapping's alone: a
    debugger writes to text so.
    """
    if pte.write:
        return True
    if not foll & Foll.FORCE or vm_flags & Vm.WRITE or not is_cow_mapping(vm_flags):
        return False
    return pte.pfn != ZERO_PFN and PageAnonExclusive(pte.pfn) and not pte.uffd_wp


@kernel_function("mm/gup.c", quiet=True)
def gup_must_unshare(vma: VmArea, pfn: int, foll: Foll) -> Follow | None:
    """Say whether a page that is read only must first be made this mapping's alone.

    A pin lasts: a shared page that somebody else then copied would be the wrong one.
    """
    if foll & Foll.WRITE or not foll & Foll.PIN or pfn == ZERO_PFN:
        return None
    if not is_cow_mapping(vma.vm_flags.read()) or folio_of(pfn).mapping is not None:
        return None
    return None if PageAnonExclusive(pfn) else UNSHARE


@kernel_function("mm/gup.c", quiet=True)
def try_grab_folio(pfn: int, foll: Foll) -> int:
    """Take a reference, or a pin, of a page whose PTE is locked."""
    if pfn != ZERO_PFN and foll & (Foll.GET | Foll.PIN):
        with atomic():
            folio_get(pfn)
            if foll & Foll.PIN:
                change_folio(pfn, pins=folio_of(pfn).pins + 1)
    return pfn
