"""User accesses to memory, and the page faults that they raise (``arch/x86/mm/fault.c``).

An access walks the page table in hardware, without any lock, and either takes place or faults;
after a fault the same instruction runs again. The handler tries the lock of the VMA first; when
that is contended, or the fault has to be retried, it goes on under mmap_lock.
"""

from __future__ import annotations

from refault.explore import Violation, note, restart
from refault.linux.asm.access import hardware_load, hardware_store
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, Vm, VmFault
from refault.linux.kernel.entry.common import irqentry_exit_to_user_mode
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import (
    lock_vma_under_rcu,
    mmap_read_lock,
    mmap_read_unlock,
    vma_end_read,
)
from refault.linux.modelled import kernel_function


@kernel_function("arch/x86/mm/fault.c")
def store(mm: MmStruct, address: int, value: int) -> None:
    """Store to memory; runs again after each fault."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        if hardware_store(mm, address, value):
            return
        exc_page_fault(mm, address, FaultFlag.WRITE)


@kernel_function("arch/x86/mm/fault.c")
def load(mm: MmStruct, address: int) -> int:
    """Load from memory; runs again after each fault."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        value = hardware_load(mm, address)
        if value is not None:
            return value
        exc_page_fault(mm, address, FaultFlag.NONE)


def copy_from_user_nofault(mm: MmStruct, address: int) -> int | None:
    """Read user memory with page faults disabled; None where that takes a fault."""
    return hardware_load(mm, address)


def copy_from_user(mm: MmStruct, address: int) -> int | None:
    """Read user memory in the kernel; None for -EFAULT."""
    while True:
        restart()
        data = copy_from_user_nofault(mm, address)
        if data is not None:
            return data
        note("#PF, read by the kernel")
        do_user_addr_fault(mm, address, FaultFlag.DEFAULT)


@kernel_function("arch/x86/mm/fault.c", label="#PF", quiet=True)
def exc_page_fault(mm: MmStruct, address: int, access: FaultFlag) -> None:
    """The exception: note it, and handle it."""
    note("#PF, write" if access & FaultFlag.WRITE else "#PF, read")
    do_user_addr_fault(mm, address, FaultFlag.DEFAULT | FaultFlag.USER | access)


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def do_user_addr_fault(mm: MmStruct, address: int, flags: FaultFlag) -> None:
    """Handle a fault of user mode, under the VMA lock first and then under mmap_lock."""
    if lock_vma_under_rcu(mm, address):
        vma = mm.find_vma(address)
        assert vma is not None
        access_error(vma.vm_flags.read(), flags)
        fault = handle_mm_fault(vma, address, flags | FaultFlag.VMA_LOCK)
        if not fault & (VmFault.RETRY | VmFault.COMPLETED):
            vma_end_read(vma)
        if not fault & VmFault.RETRY:
            mm_fault_error(fault)
            return
        if fault & VmFault.MAJOR:
            flags = fault_tried(flags)
    while True:
        restart(flags)
        mmap_read_lock(mm)
        vma = mm.find_vma(address)
        if vma is None:
            raise Violation("SIGSEGV", f"nothing is mapped at {address:#x}")
        access_error(vma.vm_flags.read(), flags)
        fault = handle_mm_fault(vma, address, flags)
        if fault & VmFault.COMPLETED:
            return
        if not fault & VmFault.RETRY:
            break
        flags = fault_tried(flags)
    mmap_read_unlock(mm)
    mm_fault_error(fault)


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def fault_tried(flags: FaultFlag) -> FaultFlag:
    """What the next attempt of a fault is allowed, after one that was to be retried."""
    return flags | FaultFlag.TRIED


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def access_error(vm_flags: Vm, flags: FaultFlag) -> None:
    """End the run where the VMA does not allow the access: a signal, which is not modelled."""
    needed = Vm.WRITE if flags & FaultFlag.WRITE else Vm.READ
    if not vm_flags & needed:
        raise Violation("SIGSEGV", "the mapping does not allow the access")


@kernel_function("arch/x86/mm/fault.c", quiet=True)
def mm_fault_error(fault: VmFault) -> None:
    """End the run where a fault failed: a signal, which is not modelled."""
    for bit, signal in ((VmFault.OOM, "out of memory"), (VmFault.SIGSEGV, "SIGSEGV")):
        if fault & bit:
            raise Violation(signal, f"a page fault returned {fault!r}")
    if fault & VmFault.ERROR:
        raise Violation("SIGBUS", f"a page fault returned {fault!r}")
