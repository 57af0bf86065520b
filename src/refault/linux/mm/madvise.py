"""``madvise(2)`` (``mm/madvise.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import VmArea
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/madvise.c", label="madvise(MADV_DONTNEED)")
def madvise_dontneed_free(vma: VmArea, address: int) -> None:
    """Drop a page, under mmap_lock for reading as the VMA belongs to a userfaultfd.

    The monitor did not ask for EVENT_REMOVE, so it hears nothing of it.
    """
    mmap_read_lock(vma.vm_mm)
    zap_page_range_single(vma, address)
    mmap_read_unlock(vma.vm_mm)
