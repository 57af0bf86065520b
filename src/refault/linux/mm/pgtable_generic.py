"""Taking and leaving the page-table lock (``mm/pgtable-generic.c``, ``mm/memory.c``)."""

from __future__ import annotations

from refault.explore import Violation
from refault.linux.include.linux.mm_types import HugePmd, MmStruct, Pmd
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.modelled import kernel_function


def read_pmd(mm: MmStruct) -> Pmd | HugePmd:
    """Read the PMD entry; a use after free if the process has been taken down."""
    pmd = mm.pmd.read()
    if pmd is Pmd.FREED:
        raise Violation("use after free", f"the page tables of {mm} are used after they were freed")
    return pmd


@kernel_function("mm/pgtable-generic.c", quiet=True)
def pte_offset_map_lock(mm: MmStruct) -> bool:
    """Take the page-table lock; False if there is no page table here (any more)."""
    spin_lock(mm.ptl)
    if read_pmd(mm) is Pmd.TABLE:
        return True
    spin_unlock(mm.ptl)
    return False


def pte_offset_map_lock_rmap(mm: MmStruct) -> bool:
    """The same for who comes from the side of the page: page tables that are freed are not found.

    The lock of the anon_vma, which is not modelled, keeps him and their end apart.
    """
    if mm.notifiers is None:
        return pte_offset_map_lock(mm)
    spin_lock(mm.ptl)
    if mm.pmd.read() is Pmd.TABLE:
        return True
    spin_unlock(mm.ptl)
    return False


@kernel_function("include/linux/mm.h", quiet=True)
def pte_unmap_unlock(mm: MmStruct) -> None:
    """Give the page-table lock back."""
    spin_unlock(mm.ptl)


@kernel_function("include/linux/huge_mm.h", quiet=True)
def pmd_trans_huge_lock(mm: MmStruct) -> HugePmd | None:
    """Take the lock of the PMD entry if it maps a huge page, and return the entry."""
    if not isinstance(mm.pmd.read(), HugePmd):
        return None
    spin_lock(mm.ptl)
    pmd = mm.pmd.read()
    if isinstance(pmd, HugePmd):
        return pmd
    spin_unlock(mm.ptl)
    return None


def _populate(pmd: Pmd | HugePmd) -> tuple[Pmd | HugePmd, None]:
    return (Pmd.TABLE if pmd is Pmd.NONE else pmd), None


@kernel_function("mm/memory.c", quiet=True)
def pte_alloc(mm: MmStruct) -> None:
    """Give the PMD entry a page table if it has none; whoever is first wins."""
    if mm.pmd.read() is Pmd.NONE:
        spin_lock(mm.ptl)
        mm.pmd.update(_populate)
        spin_unlock(mm.ptl)
