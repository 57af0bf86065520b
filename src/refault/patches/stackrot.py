"""Growing a stack under the read lock, as before 6.5 (CVE-2023-3269).

The fault handler held mmap_lock for reading when it moved where the VMA begins, and changed the
tree of VMAs with it. Those who do so at the same time kept each other out; those who only walk the
tree did not know.
"""

from __future__ import annotations

from refault.explore import note
from refault.linux.arch.ptrace import PtRegs
from refault.linux.include.linux.mm_types import MmStruct, Vm, VmArea
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.spinlock import spin_lock, spin_unlock
from refault.linux.lib.maple_tree import mas_store
from refault.linux.mm.mmap import FIRST_USER_ADDRESS, find_vma, find_vma_prev
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_trylock, mmap_read_unlock
from refault.linux.modelled import current_kernel
from refault.patches.patch import Patch

DANCERS = ("x86", "arm", "arm64", "powerpc", "nios2")
"""Who tried the lock and searched the exception table before waiting for it, the first time.

The two others that did, microblaze and sparc64, still do so themselves.
"""


def _lock_and_find(mm: MmStruct, address: int, regs: PtRegs, again: bool = False) -> VmArea | None:
    arch = current_kernel().arch
    if again or arch not in DANCERS:
        mmap_read_lock(mm)
    elif not mmap_read_trylock(mm):
        if not regs.user and not regs.extable:
            return None
        mmap_read_lock(mm)
    vma = find_vma(mm, address)
    if vma is not None and vma.vm_start <= address:
        return vma
    if vma is not None and address >= FIRST_USER_ADDRESS[arch] and _grown(vma, address):
        return vma
    mmap_read_unlock(mm)
    return None


def _expand(mm: MmStruct, address: int) -> VmArea | None:
    vma, prev = find_vma_prev(mm, address)
    for found in (prev, vma):
        if found is not None and _grown(found, address):
            return found
    mmap_read_unlock(mm)
    return None


def _grown(vma: VmArea, address: int) -> bool:
    """Move one end of the VMA to the page of an address, under the page-table lock."""
    flags = vma.vm_flags.read()
    page = address & ~(PAGE_SIZE - 1)
    span = vma.covered()
    if flags & Vm.GROWSDOWN and page < span.start:
        new = span._replace(start=page)
    elif flags & Vm.GROWSUP and page >= span.end:
        new = span._replace(end=page + PAGE_SIZE)
    else:
        return False
    tree = vma.vm_mm.stack_tree
    assert tree is not None, "only a stack grows, and a process with a stack has a tree"
    spin_lock(vma.vm_mm.ptl)
    vma.span.write(new)
    mas_store(tree)
    spin_unlock(vma.vm_mm.ptl)
    note(f"{vma} is {new}")
    return True


stackrot = Patch(
    name="stackrot",
    title="mm: always expand the stack with the mmap write lock held",
    kind="fix",
    commit="8d7071af8907",
    since="6.5",
    stable={"6.1": "6.1.37", "6.3": "6.3.11", "6.4": "6.4.1"},
    source="Linus Torvalds, 2023; found by Ruihan Li, CVE-2023-3269",
    replaces={"lock_mm_and_find_vma": _lock_and_find, "expand_stack": _expand},
)
