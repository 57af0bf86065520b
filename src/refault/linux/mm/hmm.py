"""What a device that shares a process's memory may map (``mm/hmm.c``).

``hmm_range_fault()`` looks pages up, and faults those in that are missing. It takes no references:
what it finds is right as long as the interval notifier of the range has not been called, and only
its user can tell, under the lock of its own that the notifier takes. The faults run with
mmap_lock held all the time: there is no RETRY, and signals are not looked for.
"""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import restart
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import HugePmd, Pmd, VmArea, VmFaultInfo
from refault.linux.include.linux.mmu_notifier import MmuIntervalNotifier
from refault.linux.include.linux.page import frame
from refault.linux.include.linux.pgtable import Pte, PteKind, ptep_get
from refault.linux.include.uapi.errno import EBUSY, EFAULT, EPERM
from refault.linux.mm.memory.fault import handle_mm_fault
from refault.linux.mm.memory.swap_in import migration_entry_wait
from refault.linux.mm.mmu_interval import mmu_interval_check_retry
from refault.linux.mm.pgtable_generic import read_pmd
from refault.linux.modelled import NotModelled, kernel_function


class HmmRange(NamedTuple):
    """``struct hmm_range``, of one page: with ``write``, it must be one that can be written to.

    ``pool`` is the memory of the device that asks, whose own pages it need not bring back.
    """

    notifier: MmuIntervalNotifier
    address: int
    write: bool = False
    pool: int = 0


class HmmPfn(NamedTuple):
    """What was found: 0, or -errno; the frame, and whether it may be written to."""

    ret: int
    pfn: int = -1
    write: bool = False


@kernel_function("mm/hmm.c", label=lambda range: f"hmm_range_fault({range.address:#x})")
def hmm_range_fault(range: HmmRange) -> HmmPfn:
    """Look a page up and fault it in; the caller holds mmap_lock. -EBUSY to begin again."""
    while True:
        restart()
        if mmu_interval_check_retry(range.notifier):
            return HmmPfn(-EBUSY)
        found = hmm_vma_walk(range)
        if found.ret != -EBUSY:
            return found


@kernel_function("mm/hmm.c", quiet=True)
def hmm_vma_walk(range: HmmRange) -> HmmPfn:
    """Look at the mapping, then at the entry, without the page-table lock."""
    mm = range.notifier.mm
    vma = mm.find_vma(range.address)
    if vma is None or not vma.vm_flags.read() & Vm.READ:
        return HmmPfn(-EFAULT)
    pmd = read_pmd(mm)
    if isinstance(pmd, HugePmd):
        raise NotModelled("hmm_range_fault() of a huge page")
    if pmd is not Pmd.TABLE:
        return hmm_vma_fault(vma, range)
    return hmm_vma_handle_pte(vma, range, ptep_get(mm.pte(range.address)))


@kernel_function("mm/hmm.c", quiet=True)
def hmm_vma_handle_pte(vma: VmArea, range: HmmRange, pte: Pte) -> HmmPfn:
    """Take what the entry says, if that will do."""
    if pte.kind is PteKind.DEVICE and frame(pte.pfn).cpu == range.pool:
        return HmmPfn(0, pte.pfn, pte.write)
    if pte.kind is PteKind.MIGRATION:
        migration_entry_wait(
            VmFaultInfo(vma, range.address, FaultFlag.REMOTE, vma.vm_flags.read(), pte)
        )
        return HmmPfn(-EBUSY)
    if pte.kind is PteKind.HWPOISON:
        return HmmPfn(-EFAULT)
    if not pte.present or pte.protnone or (range.write and not pte.write):
        return hmm_vma_fault(vma, range)
    return HmmPfn(0, pte.pfn, pte.write)


@kernel_function("mm/hmm.c", quiet=True)
def hmm_vma_fault(vma: VmArea, range: HmmRange) -> HmmPfn:
    """Fault the page in; -EBUSY has the caller look again."""
    flags = FaultFlag.REMOTE
    if range.write:
        if not vma.vm_flags.read() & Vm.WRITE:
            return HmmPfn(-EPERM)
        flags |= FaultFlag.WRITE
    fault = handle_mm_fault(vma, range.address, flags)
    return HmmPfn(-EFAULT if fault & VmFault.ERROR else -EBUSY)
