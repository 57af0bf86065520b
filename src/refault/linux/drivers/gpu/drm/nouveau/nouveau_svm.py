"""Memory that NVIDIA GPUs share with processes (``drivers/gpu/drm/nouveau/nouveau_svm.c``).

The GPU writes its faults into a buffer, and a worker services them in batches, for all processes
that use it. Each process has a page table on the GPU (``Svmm``), which an mmu notifier empties; a
page that is being faulted in has an interval notifier for as long as that takes.

Faults in one batch are at different pages here: what the driver does with several at one page is
left out, and so is what it does with pages that go to the GPU's own memory.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Violation, note, restart
from refault.linux.include.linux.mm_flags import Vm
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.mmu_notifier import (
    MmuIntervalNotifier,
    MmuNotifier,
    MmuNotifierOps,
    MmuNotifierRange,
)
from refault.linux.include.uapi.errno import EAGAIN, EBUSY, EINVAL
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.kernel.locking.mutex import Mutex, mutex_lock, mutex_trylock, mutex_unlock
from refault.linux.kernel.workqueue import Work
from refault.linux.lib.test_hmm import DeviceEntry
from refault.linux.mm.hmm import HmmRange, hmm_range_fault
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.mm.mmu_interval import (
    mmu_interval_notifier_insert,
    mmu_interval_notifier_remove,
    mmu_interval_read_begin,
    mmu_interval_read_retry,
    mmu_interval_set_seq,
)
from refault.linux.mm.mmu_notifier import mmu_notifier_put
from refault.linux.modelled import NotModelled, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class FaultAccess(IntEnum):
    """``FAULT_ACCESS_*``: what the GPU wanted to do."""

    READ = 0
    WRITE = 1
    ATOMIC = 2
    PREFETCH = 3


class SvmFault(NamedTuple):
    """``struct nouveau_svm_fault``: whose page table, where, and what for."""

    svmm: int
    address: int
    access: FaultAccess


class Svmm:
    """``struct nouveau_svmm``: the page table that the GPU has for a process.

    ``bound`` says whether a channel uses it, ``vmm`` whether the GPU's side is still there;
    ``memory`` is the object itself, which the notifier frees when the last reference is put.
    """

    def __init__(self, program: Program, mm: MmStruct, name: str) -> None:
        self.mm = mm
        self.name = name
        self.mutex = Mutex(program, f"{name}.mutex")
        self.bound: Cell[bool] = program.cell(f"{name}.bound", True)
        self.vmm: Cell[bool] = program.cell(f"{name}.vmm", True)
        self.pt: dict[int, Cell[DeviceEntry | None]] = {
            address: program.cell(f"{name}.pt({address:#x})", None) for address in mm.ptes
        }
        self.notifier = MmuNotifier(
            mm,
            f"{name}.notifier",
            MmuNotifierOps(
                invalidate_range_start=lambda range: nouveau_svmm_invalidate(self, range),
                free_notifier=self._free,
            ),
        )
        self.intervals = {
            address: MmuIntervalNotifier(
                mm,
                f"{name}.interval({address:#x})",
                address,
                address + PAGE_SIZE,
                lambda range, address=address: nouveau_svm_range_invalidate(  # type: ignore[misc]
                    self, address, range
                ),
                inserted=False,
            )
            for address in mm.ptes
        }

    def _free(self) -> None:
        self.notifier.memory.free()

    def __repr__(self) -> str:
        return self.name


class NouveauSvm:
    """``struct nouveau_svm``: the fault buffer, its worker, and the page tables in use.

    ``cancelled`` are the faults that were answered with the end of their channel.
    """

    def __init__(self, program: Program, svmms: tuple[Svmm, ...], faults: tuple[SvmFault, ...]):
        self.mutex = Mutex(program, "svm.mutex")
        self.svmms = svmms
        self.buffer: Cell[tuple[SvmFault, ...]] = program.cell("fault buffer", faults)
        self.cancelled: Cell[tuple[SvmFault, ...]] = program.cell("cancelled", ())
        self.work = Work(program, "fault work", lambda: nouveau_svm_fault(self), queued=True)


def _locked(svmm: Svmm, range: MmuNotifierRange) -> bool:
    if range.blockable:
        mutex_lock(svmm.mutex)
        return True
    return mutex_trylock(svmm.mutex)


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", quiet=True)
def nouveau_svm_range_invalidate(svmm: Svmm, address: int, range: MmuNotifierRange) -> bool:
    """Of a page that is being faulted in: it has changed. The other notifier does the rest."""
    if not _locked(svmm, range):
        return False
    mmu_interval_set_seq(svmm.intervals[address])
    mutex_unlock(svmm.mutex)
    return True


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_svmm_invalidate")
def nouveau_svmm_invalidate(svmm: Svmm, range: MmuNotifierRange) -> int:
    """Take a range from the GPU, if that still has the page table; 0 or -EAGAIN."""
    if not _locked(svmm, range):
        return -EAGAIN
    for address, entry in svmm.pt.items() if svmm.vmm.read() else ():
        if range.start <= address < range.end and entry.read() is not None:
            entry.write(None)
    mutex_unlock(svmm.mutex)
    return 0


def _empty(faults: tuple[SvmFault, ...]) -> tuple[tuple[SvmFault, ...], tuple[SvmFault, ...]]:
    return (), tuple(sorted(faults))


def _add(faults: tuple[SvmFault, ...], one: SvmFault) -> tuple[tuple[SvmFault, ...], None]:
    return (*faults, one), None


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c")
def nouveau_svm_fault(svm: NouveauSvm) -> None:
    """Service all that is in the buffer.

    Which page table a fault is for is looked up under the mutex, and used without it.
    """
    faults = svm.buffer.update(_empty)
    mutex_lock(svm.mutex)
    known = tuple(svm.svmms[fault.svmm].bound.read() for fault in faults)
    mutex_unlock(svm.mutex)
    atomic = False
    for fault, bound in zip(faults, known, strict=True):
        atomic = is_atomic(fault, atomic)
        if not bound or nouveau_svm_service(svm.svmms[fault.svmm], fault, atomic):
            nouveau_svm_fault_cancel(svm, fault)


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", quiet=True)
def is_atomic(fault: SvmFault, before: bool) -> bool:
    """How a fault is serviced: a variable that is set for an atomic access, and stays so."""
    return before or fault.access is FaultAccess.ATOMIC


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", quiet=True)
def nouveau_svm_service(svmm: Svmm, fault: SvmFault, atomic: bool) -> int:
    """Fault one page in, while the process is kept in use; 0 or -errno."""
    svmm.notifier.memory.read()
    if not get_task_mm(svmm.mm):
        return -EINVAL
    service = nouveau_atomic_range_fault if atomic else nouveau_range_fault
    ret = service(svmm, fault)
    put_task_mm(svmm.mm)
    return ret


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_svm_fault_cancel")
def nouveau_svm_fault_cancel(svm: NouveauSvm, fault: SvmFault) -> None:
    """Answer a fault with the end of its channel."""
    note(f"cancelled: {fault.access.name} at {fault.address:#x} of {svm.svmms[fault.svmm]}")
    svm.cancelled.update(_add, fault)


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_range_fault")
def nouveau_range_fault(svmm: Svmm, fault: SvmFault) -> int:
    """Look a page up and map it to the GPU; 0 or -errno."""
    interval = svmm.intervals[fault.address]
    mmu_interval_notifier_insert(interval)
    ret = _fault(svmm, fault, interval)
    if not ret:
        mutex_unlock(svmm.mutex)
    mmu_interval_notifier_remove(interval)
    return ret


def _fault(svmm: Svmm, fault: SvmFault, interval: MmuIntervalNotifier) -> int:
    """Until nothing has changed meanwhile; 0 with the page mapped and the mutex held."""
    write = fault.access is not FaultAccess.READ
    if fault.access is FaultAccess.PREFETCH:
        raise NotModelled("a prefetch by the GPU")
    while True:
        restart()
        mmu_interval_read_begin(interval)
        mmap_read_lock(svmm.mm)
        found = hmm_range_fault(HmmRange(interval, fault.address, write))
        mmap_read_unlock(svmm.mm)
        if found.ret == -EBUSY:
            continue
        if found.ret:
            return found.ret
        mutex_lock(svmm.mutex)
        if not mmu_interval_read_retry(interval):
            break
        mutex_unlock(svmm.mutex)
    nouveau_pfnmap(svmm, fault.address, DeviceEntry(found.pfn, found.write))
    return 0


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", quiet=True)
def nouveau_pfnmap(svmm: Svmm, address: int, entry: DeviceEntry) -> None:
    """Write an entry of the GPU's page table."""
    svmm.notifier.memory.read()
    if not svmm.vmm.read():
        raise Violation("BUG", f"{svmm}->vmm is NULL")
    svmm.pt[address].write(entry)


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_atomic_range_fault")
def nouveau_atomic_range_fault(svmm: Svmm, fault: SvmFault) -> int:
    """Have a page for the GPU alone; -EINVAL where the mapping may not be written to."""
    mmap_read_lock(svmm.mm)
    vma = svmm.mm.find_vma(fault.address)
    writable = vma is not None and bool(vma.vm_flags.read() & Vm.WRITE)
    mmap_read_unlock(svmm.mm)
    if writable:
        raise NotModelled("a page that a device has for itself")
    return -EINVAL


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_svmm_part")
def nouveau_svmm_part(svm: NouveauSvm, svmm: Svmm) -> None:
    """The last channel of a process has gone: new faults are not for it."""
    mutex_lock(svm.mutex)
    svmm.bound.write(False)
    mutex_unlock(svm.mutex)


@kernel_function("drivers/gpu/drm/nouveau/nouveau_svm.c", label="nouveau_svmm_fini")
def nouveau_svmm_fini(svm: NouveauSvm, svmm: Svmm) -> None:
    """Take the GPU's page table away; the notifier frees the rest when nobody is in it."""
    mutex_lock(svmm.mutex)
    svmm.vmm.write(False)
    mutex_unlock(svmm.mutex)
    mmu_notifier_put(svmm.notifier)
