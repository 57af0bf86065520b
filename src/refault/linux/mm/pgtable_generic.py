"""Taking and leaving the page-table lock (``mm/pgtable-generic.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, Pmd
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/pgtable-generic.c", quiet=True)
def pte_offset_map_lock(mm: MmStruct) -> bool:
    """Take the page-table lock; False if there is no page table here (any more)."""
    spin_lock(mm.ptl)
    if mm.pmd.read() is Pmd.TABLE:
        return True
    spin_unlock(mm.ptl)
    return False


@kernel_function("include/linux/mm.h", quiet=True)
def pte_unmap_unlock(mm: MmStruct) -> None:
    """Give the page-table lock back."""
    spin_unlock(mm.ptl)
