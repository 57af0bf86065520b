"""Mapping fresh memory, over whatever is there (``mm/vma.c``: ``__mmap_region()``)."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.events import userfaultfd_unmap_complete
from refault.linux.include.linux.fs import File
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmSpan
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.vma import (
    detach_range,
    vm_area_alloc,
    vma_link,
    vms_complete_munmap_vmas,
)
from refault.linux.mm.vma_merge import Like, partners, vma_merge_new_range
from refault.linux.modelled import kernel_function


@kernel_function("mm/vma.c", label="mmap(MAP_FIXED)")
def __mmap_region(mm: MmStruct, start: int, end: int, flags: Vm, file: File | None) -> int:
    """``mmap(2)`` of fresh memory; a neighbour that is like it grows over the range."""
    mmap_write_lock(mm)
    parts, unmaps = detach_range(mm, start, end)
    span, like = VmSpan(start, end, start // PAGE_SIZE), Like(flags, "", 0, file)
    # What was there is freed last, so that its memory is not at once that of the new mapping.
    new = None if any(partners(mm, span, like)) else vm_area_alloc(mm, flags, file)
    vms_complete_munmap_vmas(parts)
    if new is None:
        vma_merge_new_range(mm, span, like)
    else:
        vma_link(new, span)
    mmap_write_unlock(mm)
    userfaultfd_unmap_complete(unmaps)
    return 0
