"""How an architecture finds the VMA of a fault and takes mmap_lock for it.

Since 6.5 most leave both to ``lock_mm_and_find_vma()``. The others have reasons to look at the
stack pointer, or a stack that grows up, and call ``expand_stack()`` themselves, which has to drop
the lock to take it for writing.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TypeAlias

from refault.linux.arch.ptrace import Access, PtRegs
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.mm.lock_mm_and_find_vma import lock_mm_and_find_vma
from refault.linux.mm.mmap import expand_stack, find_vma, find_vma_prev
from refault.linux.mm.mmap_lock import (
    mmap_read_lock,
    mmap_read_trylock,
    mmap_read_unlock,
)

StackRule: TypeAlias = "Callable[[VmArea, Access, PtRegs], bool]"
"""Whether a stack that begins above the address may grow down to it."""


class Find(Enum):
    """How the VMA is found and locked."""

    LMFV = "lock_mm_and_find_vma()"
    OWN = "plain lock, then expand_stack()"
    DANCE = "trylock and exception table, then as plain"
    UP = "plain lock, grows up"
    UM = "its own lock_mm_and_find_vma(), without exception table"


def find_and_lock(
    find: Find, rule: StackRule | None, mm: MmStruct, access: Access, regs: PtRegs, again: bool
) -> VmArea | None:
    """Find the VMA of an access with mmap_lock read-locked; None, and no lock, if there is none.

    ``again`` tells a retry, for which those that dance simply wait for the lock.
    """
    if find is Find.LMFV:
        return lock_mm_and_find_vma(mm, access.address, regs, again)
    if find is Find.UM:
        return lock_mm_and_find_vma(mm, access.address, regs._replace(user=True), again)
    if find is not Find.DANCE or again:
        mmap_read_lock(mm)
    elif not mmap_read_trylock(mm):
        if not regs.user and not regs.extable:
            return None
        mmap_read_lock(mm)
    return _grown_up(mm, access) if find is Find.UP else _grown_down(rule, mm, access, regs)


def _grown_down(
    rule: StackRule | None, mm: MmStruct, access: Access, regs: PtRegs
) -> VmArea | None:
    vma = find_vma(mm, access.address)
    if vma is None:
        mmap_read_unlock(mm)
        return None
    if vma.vm_start <= access.address:
        return vma
    if not vma.vm_flags.read() & Vm.GROWSDOWN or (rule and not rule(vma, access, regs)):
        mmap_read_unlock(mm)
        return None
    return expand_stack(mm, access.address)


def _grown_up(mm: MmStruct, access: Access) -> VmArea | None:
    vma, prev = find_vma_prev(mm, access.address)
    if vma is not None and vma.vm_start <= access.address:
        return vma
    if prev is None or not prev.vm_flags.read() & Vm.GROWSUP:
        mmap_read_unlock(mm)
        return None
    return expand_stack(mm, access.address)
