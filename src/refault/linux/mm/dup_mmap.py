"""Copying an address space for a child (``mm/mmap.c``: ``dup_mmap()``).

The parent is locked for writing, and each of its VMAs as it is copied: a fault under the lock of a
VMA alone would go on while the pages become read-only. The parent's TLBs are flushed once, at the
end; until then its threads write where they could before, and the child sees that or not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import note
from refault.linux.asm.tlb import flush_tlb_mm
from refault.linux.fs.userfaultfd.events import (
    Forked,
    dup_userfaultfd,
    dup_userfaultfd_complete,
)
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.mm.memory.copy import copy_page_range
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock, vma_start_write
from refault.linux.mm.vma import vm_area_dup, vma_link
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell


@kernel_function("mm/mmap.c", quiet=True)
def dup_mmap_lock_vma(vma: VmArea) -> None:
    """Keep faults out of a VMA of the parent while it is copied."""
    vma_start_write(vma)


@kernel_function("mm/mmap.c", label="fork")
def dup_mmap(mm: MmStruct, oldmm: MmStruct, born: Cell[bool]) -> None:
    """``fork(2)``, as far as memory goes; the child's threads run when ``born`` is true."""
    mmap_write_lock(oldmm)
    mmap_write_lock(mm)
    forked: tuple[Forked, ...] = ()
    for mpnt in oldmm.vmas:
        span = mpnt.span.read()
        if span is None:
            continue
        dup_mmap_lock_vma(mpnt)
        vma = vm_area_dup(mpnt, mm)
        forked = dup_userfaultfd(vma, forked)
        if vma.anon_vma.read():
            vma.anon_vma.write(-1 - mm.vmas.index(vma))
        vma_link(vma, span)
        copy_page_range(vma, mpnt)
    mmap_write_unlock(mm)
    flush_tlb_mm(oldmm)
    mmap_write_unlock(oldmm)
    dup_userfaultfd_complete(forked)
    note("the child is born")
    born.write(True)
