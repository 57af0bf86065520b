"""``mincore(2)`` (``mm/mincore.c``)."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.pgtable import ptep_get
from refault.linux.include.uapi.errno import EFAULT, ENOMEM
from refault.linux.lib.usercopy import _copy_to_user as copy_to_user
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/mincore.c", label="mincore()")
def mincore(mm: MmStruct, start: int, vec: int) -> int:
    """Tell whether a page is in memory, in a byte at ``vec``; 0 or -errno.

    It is found out under mmap_lock and copied without: 1 if it is mapped, of anonymous memory.
    """
    mmap_read_lock(mm)
    vma = mm.find_vma(start)
    present = vma is not None and ptep_get(mm.pte(start)).present
    mmap_read_unlock(mm)
    if vma is None:
        return -ENOMEM
    return -EFAULT if copy_to_user(mm, vec, int(present), 1) else 0
