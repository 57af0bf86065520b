"""``madvise(2)`` (``mm/madvise.c``)."""

from __future__ import annotations

from refault.linux.fs.userfaultfd.events import userfaultfd_remove
from refault.linux.include.linux.mm_types import VmArea
from refault.linux.include.uapi.errno import ENOMEM
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/madvise.c", label="madvise(MADV_DONTNEED)")
def madvise_dontneed_free(vma: VmArea, address: int) -> int:
    """Drop a page, under mmap_lock for reading as the VMA belongs to a userfaultfd; 0 or -errno.

    A monitor that asked for EVENT_REMOVE is told first, without the lock, so the VMA is looked up
    again after that.
    """
    mm = vma.vm_mm
    mmap_read_lock(mm)
    found: VmArea | None = vma
    if not userfaultfd_remove(vma, address, address + PAGE_SIZE):
        mmap_read_lock(mm)
        found = mm.find_vma(address)
    if found is not None:
        zap_page_range_single(found, address)
    mmap_read_unlock(mm)
    return 0 if found is not None else -ENOMEM
