"""What holds at the two ends of ``handle_mm_fault()`` (``mm/memory.c``).

At the beginning the flags must make sense; at the end the result must be one that callers can
understand, and the fault lock held or dropped as the result says. The core keeps to that by
construction, so it is handlers of drivers and file systems that are looked at.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.explore import Violation, current_task
from refault.linux.include.linux.mm_flags import (
    FaultFlag,
    Vm,
    VmFault,
    illegal_result,
    insane_flags,
    is_cow_mapping,
    keeps_fault_lock,
)
from refault.linux.include.linux.mm_types import MmStruct, VmaLockState, VmArea, VmFaultInfo
from refault.linux.kernel.locking.rwsem import RwsemState
from refault.linux.modelled import current, current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell


@kernel_function("mm/memory.c", quiet=True)
def sanitize_fault_flags(vm_flags: Vm, flags: FaultFlag) -> FaultFlag:
    """Drop UNSHARE where nothing is to be unshared; the rest must have been seen to before.

    Flags that do not go together, and a write to what can never be written, are bugs of the
    caller: the kernel warns and answers with SIGSEGV.
    """
    wrong = insane_flags(flags)
    if wrong:
        raise Violation("WARN", f"a fault with {wrong}")
    if flags & FaultFlag.UNSHARE and not is_cow_mapping(vm_flags):
        return flags & ~FaultFlag.UNSHARE
    if flags & FaultFlag.WRITE:
        if not vm_flags & Vm.MAYWRITE:
            raise Violation("WARN", "a write fault on a mapping that may never be written")
        if not vm_flags & Vm.WRITE and not is_cow_mapping(vm_flags):
            raise Violation("WARN", "a write fault on a shared mapping that is not writable")
    return flags


def _reads_vma(lock: VmaLockState, task: str) -> bool:
    return task in lock.readers


def _holds_mmap(sem: RwsemState, task: str) -> bool:
    return sem.writer == task or task in sem.readers


def holds_fault_lock(vma: VmArea, mm: MmStruct, flags: FaultFlag) -> bool:
    """Look whether the running task holds the lock under which its fault began."""
    if flags & FaultFlag.VMA_LOCK:
        return vma.vm_lock.peek(_reads_vma, current_task())
    return mm.mmap_lock.count.peek(_holds_mmap, current_task())


def check_fault_contract(vmf: VmFaultInfo, mm: MmStruct, fault: VmFault) -> None:
    """Complain of a result that nobody can act upon, or of a lock that is not as it says."""
    who = f"the fault handler of a {vmf.vma.vm_ops}"
    wrong = illegal_result(fault)
    if wrong:
        raise Violation("fault contract", f"{who} returned {wrong}")
    held = holds_fault_lock(vmf.vma, mm, vmf.flags)
    if held != keeps_fault_lock(vmf.flags, fault):
        state = "still held" if held else "dropped"
        raise Violation("fault contract", f"{who} returned {fault!r} with the fault lock {state}")


MANY_FAULTS = 8
"""Counters stop here, so that a thread that faults for ever stays finite."""


def _count(value: int) -> tuple[int, None]:
    return min(value + 1, MANY_FAULTS), None


@kernel_function("mm/memory.c", quiet=True)
def mm_account_fault(flags: FaultFlag, fault: VmFault) -> None:
    """Count a fault that has come to its end: major if it took I/O or another attempt.

    One that is to be retried is counted when it is done, one that failed not at all. Threads have
    counters only if the story asks for them.
    """
    counters = current_kernel().fault_counters.get(current().name)
    if counters is None or fault & (VmFault.RETRY | VmFault.ERROR):
        return
    major = bool(fault & VmFault.MAJOR or flags & FaultFlag.TRIED)
    counter: Cell[int] = counters.maj_flt if major else counters.min_flt
    counter.update(_count)
