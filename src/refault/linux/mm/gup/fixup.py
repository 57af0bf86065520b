"""A fault without a page (``mm/gup.c``: ``fixup_user_fault()`` and what is made of it)."""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import restart
from refault.linux.include.linux.foll import Foll, vm_fault_to_errno
from refault.linux.include.linux.mm_flags import FaultFlag, Vm, VmFault
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.include.uapi.errno import EFAULT, EINTR
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.linux.modelled import current, kernel_function


class FixedUp(NamedTuple):
    """0 or -errno, and whether mmap_lock was dropped on the way: what was looked up is stale."""

    ret: int
    unlocked: bool = False


@kernel_function("mm/gup.c", label="fixup_user_fault")
def fixup_user_fault(mm: MmStruct, address: int, flags: FaultFlag, *, unlockable: bool) -> FixedUp:
    """Make a fault on behalf of a task; mmap_lock is held before and after.

    Only a caller that is ``unlockable`` can wait in userfaultfd. Nobody is INTERRUPTIBLE here, so
    a signal that is not fatal is not seen. The lock is taken again by a sleep that no signal ends.
    """
    if unlockable:
        flags |= FaultFlag.ALLOW_RETRY | FaultFlag.KILLABLE
    unlocked = False
    while True:
        restart(flags, unlocked)
        vma = mm.find_vma(address)
        needed = Vm.WRITE if flags & FaultFlag.WRITE else Vm.READ
        if vma is None or not vma.vm_flags.read() & needed:
            return FixedUp(-EFAULT, unlocked)
        if flags & FaultFlag.KILLABLE and fatal_signal_pending(current()):
            return FixedUp(-EINTR, unlocked)
        fault = handle_mm_fault(vma, address, flags)
        if fault & VmFault.COMPLETED:
            mmap_read_lock(mm)
            return FixedUp(0, unlocked=True)
        if fault & VmFault.ERROR:
            return FixedUp(vm_fault_to_errno(fault, Foll.NONE), unlocked)
        if not fault & VmFault.RETRY:
            return FixedUp(0, unlocked)
        mmap_read_lock(mm)
        unlocked, flags = True, flags | FaultFlag.TRIED


@kernel_function("kernel/futex/core.c", label="fault_in_user_writeable")
def fault_in_user_writeable(mm: MmStruct, address: int) -> int:
    """Make a page writable for an atomic operation on it; it cannot wait in userfaultfd."""
    mmap_read_lock(mm)
    fixed = fixup_user_fault(mm, address, FaultFlag.WRITE, unlockable=False)
    mmap_read_unlock(mm)
    return fixed.ret


@kernel_function("mm/gup.c", label="fault_in_safe_writeable")
def fault_in_safe_writeable(mm: MmStruct, address: int) -> bool:
    """Make a page writable without writing to it; tells whether it could."""
    mmap_read_lock(mm)
    fixed = fixup_user_fault(mm, address, FaultFlag.WRITE, unlockable=True)
    mmap_read_unlock(mm)
    return not fixed.ret
