"""The end of an address space (``mm/mmap.c``: ``exit_mmap()``).

Its last user has gone, so there are no faults any more. Others may still hold the structure,
without using it (``mmgrab()``), and have other page tables of its pages: they are told first, and
have to be done with them by the time that they return.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.include.linux.mm_types import MmStruct, Pmd
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.mm.memory.zap import UNMAP, zap_and_flush
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_unlock,
    mmap_write_lock,
    mmap_write_unlock,
)
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start,
    mmu_notifier_release,
)
from refault.linux.mm.vma import remove_vma, vma_mark_detached
from refault.linux.modelled import kernel_function


@kernel_function("mm/mmap.c")
def exit_mmap(mm: MmStruct) -> None:
    """Take down all mappings, then the page tables."""
    mmu_notifier_release(mm)
    exit_unmap_vmas(mm)
    exit_free_pgtables(mm)


@kernel_function("mm/mmap.c", quiet=True)
def exit_unmap_vmas(mm: MmStruct) -> None:
    """Give the pages back; the OOM reaper may be at it, too."""
    mmap_read_lock(mm)
    unmap_all(mm)
    mmap_read_unlock(mm)


def unmap_all(mm: MmStruct) -> None:
    """Zap what each mapping holds; of the notifiers only intervals are left to be told of it."""
    range = MmuNotifierRange(mm, 0, 1 << 63, MmuNotifyEvent.UNMAP)
    mmu_notifier_invalidate_range_start(range)
    for vma in mm.vmas:
        if vma.vm_end:
            zap_and_flush(vma, vma.vm_start, vma.vm_end, UNMAP)
    mmu_notifier_invalidate_range_end(range)


@kernel_function("mm/mmap.c", quiet=True)
def exit_free_pgtables(mm: MmStruct) -> None:
    """Free the page tables and the mappings, when nobody has mmap_lock any more."""
    mmap_write_lock(mm)
    free_all(mm)
    mmap_write_unlock(mm)


def free_all(mm: MmStruct) -> None:
    """Free the page tables and the mappings."""
    mm.pmd.write(Pmd.FREED)
    note("page tables are freed")
    for vma in mm.vmas:
        if vma.vm_end:
            vma_mark_detached(vma)
            remove_vma(vma)
