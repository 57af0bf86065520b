"""The kernel's test device for HMM (``lib/test_hmm.c``): how a driver is meant to do it.

The device has a page table of its own and one interval notifier for all of the process. What it
looked up it maps under its mutex, after it has asked whether the notifier was called meanwhile; its
notifier takes the same mutex. Left out is the time after which it gives up (one second).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import atomic, restart
from refault.linux.include.linux.memremap import DevPagemap
from refault.linux.include.linux.mm_types import MmStruct, VmArea, VmFault, VmFaultInfo
from refault.linux.include.linux.mmu_notifier import (
    MmuIntervalNotifier,
    MmuNotifierRange,
    MmuNotifyEvent,
)
from refault.linux.include.linux.page import alloc_page, folio_of, frame
from refault.linux.include.linux.pgtable import ZERO_PFN
from refault.linux.include.uapi.errno import EBUSY, EINVAL, ENOENT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_trylock, mutex_unlock
from refault.linux.mm.filemap import folio_lock
from refault.linux.mm.hmm import HmmRange, hmm_range_fault
from refault.linux.mm.migrate_device import (
    MigrateVma,
    alloc_device_page,
    migrate_device_range,
    migrate_vma_finalize,
    migrate_vma_pages,
    migrate_vma_setup,
)
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.mmu_interval import (
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell
    from refault.linux.machine import Kernel


class DeviceEntry(NamedTuple):
    """An entry of the device's page table."""

    pfn: int
    write: bool

    def __repr__(self) -> str:
        return f"pfn {self.pfn} {'rw' if self.write else 'r'}"


class Dmirror:
    """``struct dmirror``: the device as one process has opened it, and its memory."""

    def __init__(self, kernel: Kernel, mm: MmStruct, name: str = "dmirror", pages: int = 1) -> None:
        program = kernel.program
        self.name = name
        self.mm = mm
        self.mutex = Mutex(program, f"{name}.mutex")
        self.pt: dict[int, Cell[DeviceEntry | None]] = {
            address: program.cell(f"{name}.pt({address:#x})", None) for address in mm.ptes
        }
        self.pgmap: DevPagemap = kernel.device_memory(
            name, lambda vmf, pfn, locked: dmirror_devmem_fault(self, vmf, pfn, locked), pages
        )
        self.notifier = MmuIntervalNotifier(
            mm,
            name,
            0,
            1 << 62,
            lambda range: dmirror_interval_invalidate(self, range),
        )

    def __repr__(self) -> str:
        return self.name


@kernel_function("lib/test_hmm.c", label=lambda dmirror, range: "dmirror: invalidate")
def dmirror_interval_invalidate(dmirror: Dmirror, range: MmuNotifierRange) -> bool:
    """Forget a range; of pages that go to its own memory the device knows itself."""
    if range.event is MmuNotifyEvent.MIGRATE and range.owner == dmirror.name:
        return True
    if range.blockable:
        mutex_lock(dmirror.mutex)
    elif not mutex_trylock(dmirror.mutex):
        return False
    mmu_interval_set_seq(dmirror.notifier)
    for address, entry in dmirror.pt.items():
        if range.start <= address < range.end and entry.read() is not None:
            entry.write(None)
    mutex_unlock(dmirror.mutex)
    return True


@kernel_function("lib/test_hmm.c", quiet=True)
def dmirror_range_fault(dmirror: Dmirror, address: int, write: bool) -> int:
    """Look a page up and map it; 0 or -errno. Again, where the notifier came in between."""
    while True:
        restart()
        mmu_interval_read_begin(dmirror.notifier)
        mmap_read_lock(dmirror.mm)
        found = hmm_range_fault(HmmRange(dmirror.notifier, address, write, dmirror.pgmap.pool))
        mmap_read_unlock(dmirror.mm)
        if found.ret == -EBUSY:
            continue
        if found.ret:
            return found.ret
        mutex_lock(dmirror.mutex)
        if not mmu_interval_read_retry(dmirror.notifier):
            break
        mutex_unlock(dmirror.mutex)
    dmirror.pt[address].write(DeviceEntry(found.pfn, found.write))
    mutex_unlock(dmirror.mutex)
    return 0


@kernel_function("lib/test_hmm.c", quiet=True)
def dmirror_fault(dmirror: Dmirror, address: int, write: bool) -> int:
    """The same, if the process is still there; 0 also if it is not."""
    if not get_task_mm(dmirror.mm):
        return 0
    ret = dmirror_range_fault(dmirror, address, write)
    put_task_mm(dmirror.mm)
    return ret


def device_access(dmirror: Dmirror, address: int, value: int | None) -> int:
    """Use the page through the device's page table, in one step; -ENOENT if it is not there."""
    with atomic():
        entry = dmirror.pt[address].read()
        if entry is None or (value is not None and not entry.write):
            return -ENOENT
        if entry.pfn == ZERO_PFN:
            return 0
        folio_of(entry.pfn)
        if value is None:
            return frame(entry.pfn).data.read()
        frame(entry.pfn).data.write(value)
        return 0


@kernel_function("lib/test_hmm.c", label=lambda dmirror, address: f"dmirror_read({address:#x})")
def dmirror_read(dmirror: Dmirror, address: int) -> int:
    """``HMM_DMIRROR_READ`` of a page: what is in it, or -errno."""
    return _do(dmirror, address, None)


@kernel_function("lib/test_hmm.c", label=lambda d, address, value: f"dmirror_write({address:#x})")
def dmirror_write(dmirror: Dmirror, address: int, value: int) -> int:
    """``HMM_DMIRROR_WRITE`` to a page: 0 or -errno."""
    return _do(dmirror, address, value)


def _do(dmirror: Dmirror, address: int, value: int | None) -> int:
    while True:
        restart()
        mutex_lock(dmirror.mutex)
        ret = device_access(dmirror, address, value)
        mutex_unlock(dmirror.mutex)
        if ret != -ENOENT:
            return ret
        ret = dmirror_fault(dmirror, address, value is not None)
        if ret:
            return ret


@kernel_function("lib/test_hmm.c", label="dmirror_migrate_to_device")
def dmirror_migrate_to_device(dmirror: Dmirror, vma: VmArea, address: int) -> int:
    """``HMM_DMIRROR_MIGRATE_TO_DEV`` of a page: 0 or -errno."""
    if not get_task_mm(dmirror.mm):
        return -EINVAL
    mmap_read_lock(dmirror.mm)
    args = MigrateVma(vma, address, address + PAGE_SIZE, dmirror.name, dmirror.pgmap.pool)
    pages = migrate_vma_setup(args)
    copied = tuple(p._replace(dst=_copy(p.src, dmirror.pgmap.pool)) for p in pages if p.src)
    pages = migrate_vma_pages(args, copied)
    mutex_lock(dmirror.mutex)
    for page in pages:
        if page.migrate:
            dmirror.pt[page.address].write(DeviceEntry(page.dst, True))
    mutex_unlock(dmirror.mutex)
    migrate_vma_finalize(args, pages)
    mmap_read_unlock(dmirror.mm)
    put_task_mm(dmirror.mm)
    return 0


def _copy(src: int, pool: int) -> int:
    dst = alloc_device_page(pool)
    if dst:
        frame(dst).data.write(frame(src).data.read())
    return dst


def _copy_back(src: int) -> int:
    dst = alloc_page()
    folio_lock(dst)
    frame(dst).data.write(frame(src).data.read())
    return dst


@kernel_function("lib/test_hmm.c", label=lambda *args: "dmirror_devmem_fault")
def dmirror_devmem_fault(dmirror: Dmirror, vmf: VmFaultInfo, pfn: int, locked: int) -> VmFault:
    """Bring a page back for a CPU; where it belongs is written in the page's own data."""
    folio_of(pfn)
    dmirror.notifier.memory.read()
    end = vmf.address + PAGE_SIZE
    pool = dmirror.pgmap.pool
    args = MigrateVma(vmf.vma, vmf.address, end, dmirror.name, pool, back=True, fault_pfn=locked)
    copied = tuple(page._replace(dst=_copy_back(page.src)) for page in migrate_vma_setup(args))
    pages = migrate_vma_pages(args, copied)
    mutex_lock(dmirror.mutex)
    for page in pages:
        dmirror.pt[page.address].write(None)
    mutex_unlock(dmirror.mutex)
    migrate_vma_finalize(args, pages)
    return VmFault.NONE


@kernel_function("lib/test_hmm.c")
def dmirror_device_evict_chunk(dmirror: Dmirror) -> None:
    """Bring back what is in the device's memory."""
    args, pages = migrate_device_range(dmirror.mm, dmirror.pgmap.pool)
    copied = tuple(page._replace(dst=_copy_back(page.src)) for page in pages)
    migrate_vma_finalize(args, migrate_vma_pages(args, copied))


@kernel_function("lib/test_hmm.c", label="dmirror_fops_release")
def dmirror_fops_release(dmirror: Dmirror) -> None:
    """``close(2)`` of the device: from here on it is told of nothing, and is freed."""
    mmu_interval_notifier_remove(dmirror.notifier)
    dmirror.notifier.memory.free()
