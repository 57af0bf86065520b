"""The OOM reaper (``mm/oom_kill.c``): taking the memory of a process that is going to die.

``MMF_UNSTABLE`` is set first. From then on nothing may be filled in again, for what was there is
lost: a fault looks at it under the page-table lock, before it maps anything.
"""

from __future__ import annotations

from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.linux.mmu_notifier import MmuNotifierRange, MmuNotifyEvent
from refault.linux.mm.memory.zap import DONTNEED, zap_and_flush
from refault.linux.mm.mmap_lock import mmap_read_trylock, mmap_read_unlock
from refault.linux.mm.mmu_notifier import (
    mmu_notifier_invalidate_range_end,
    mmu_notifier_invalidate_range_start_nonblock,
)
from refault.linux.modelled import kernel_function


@kernel_function("mm/oom_kill.c", label="oom_reap_task_mm")
def oom_reap_task_mm(mm: MmStruct) -> bool:
    """Take all private memory away, unless mmap_lock or the owner of other tables is contended."""
    if not mmap_read_trylock(mm):
        return False
    mm.unstable.write(True)
    done = True
    for vma in mm.vmas:
        if vma.addresses() and not vma.vm_flags.read() & (Vm.SHARED | Vm.HUGETLB):
            done = _reap(vma) and done
    mmap_read_unlock(mm)
    return done


def _reap(vma: VmArea) -> bool:
    """Take one mapping away, unless somebody who must be told of it would have to wait."""
    start, end = vma.vm_start, vma.vm_end
    range = MmuNotifierRange(vma.vm_mm, start, end, MmuNotifyEvent.UNMAP, blockable=False)
    if mmu_notifier_invalidate_range_start_nonblock(range):
        return False
    zap_and_flush(vma, start, end, DONTNEED)
    mmu_notifier_invalidate_range_end(range)
    return True
