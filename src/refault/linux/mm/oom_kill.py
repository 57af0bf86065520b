"""The OOM reaper (``mm/oom_kill.c``): taking the memory of a process that is going to die.

``MMF_UNSTABLE`` is set first. From then on nothing may be filled in again, for what was there is
lost: a fault looks at it under the page-table lock, before it maps anything.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.mm.memory.zap import zap_page_range_single
from refault.linux.mm.mmap_lock import mmap_read_trylock, mmap_read_unlock
from refault.linux.modelled import kernel_function


@kernel_function("mm/oom_kill.c", label="oom_reap_task_mm")
def oom_reap_task_mm(mm: MmStruct) -> bool:
    """Take all private memory away, unless mmap_lock is contended."""
    if not mmap_read_trylock(mm):
        return False
    mm.unstable.write(True)
    for vma in mm.vmas:
        if vma.addresses() and not vma.vm_flags.read() & (Vm.SHARED | Vm.HUGETLB):
            zap_page_range_single(vma, vma.vm_start, vma.vm_end)
    mmap_read_unlock(mm)
    return True
