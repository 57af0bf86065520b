"""``lock_mm_and_find_vma()`` (``mm/mmap_lock.c``): what most fault handlers begin with.

The lock is not simply waited for: a kernel that faults where it should not may hold it for writing
itself. So a fault of the kernel waits only if the exception table says that it may happen.
"""

from __future__ import annotations

from refault.linux.arch.ptrace import PtRegs
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.mm.mmap import expand_stack_locked, find_vma
from refault.linux.mm.mmap_lock import (
    mmap_read_lock_killable,
    mmap_read_trylock,
    mmap_read_unlock,
    mmap_write_downgrade,
    mmap_write_lock_killable,
    mmap_write_unlock,
)
from refault.linux.modelled import kernel_function


def _may_wait(regs: PtRegs) -> bool:
    """Whether a fault may wait for mmap_lock: not a bug of the kernel, which may hold it."""
    return regs.user or regs.extable


@kernel_function("mm/mmap_lock.c", quiet=True)
def get_mmap_lock_carefully(mm: MmStruct, regs: PtRegs) -> bool:
    """Take mmap_lock for reading, unless the kernel faults where it should not, or is killed."""
    return mmap_read_trylock(mm) or (_may_wait(regs) and not mmap_read_lock_killable(mm))


@kernel_function("mm/mmap_lock.c", quiet=True)
def upgrade_mmap_lock_carefully(mm: MmStruct, regs: PtRegs) -> bool:
    """Take mmap_lock for writing instead of for reading; there is a gap in between."""
    mmap_read_unlock(mm)
    return _may_wait(regs) and not mmap_write_lock_killable(mm)


@kernel_function("mm/mmap_lock.c", quiet=True)
def lock_mm_and_find_vma(
    mm: MmStruct, address: int, regs: PtRegs, again: bool = False
) -> VmArea | None:
    """Find the VMA of a fault, growing a stack if need be, with mmap_lock read-locked.

    None, and no lock, if there is none or the lock was not to be had. A retry (``again``) is like
    the first attempt; before 6.5 it was not.
    """
    if not get_mmap_lock_carefully(mm, regs):
        return None
    vma = find_vma(mm, address)
    if vma is not None and vma.vm_start <= address:
        return vma
    if vma is None or not vma.vm_flags.read() & Vm.GROWSDOWN:
        mmap_read_unlock(mm)
        return None
    if not upgrade_mmap_lock_carefully(mm, regs):
        return None
    vma = find_vma(mm, address)
    if vma is not None and (vma.vm_start <= address or not expand_stack_locked(vma, address)):
        mmap_write_downgrade(mm)
        return vma
    mmap_write_unlock(mm)
    return None
