"""Page faults on MicroBlaze (``arch/microblaze/mm/fault.c``).

A stack grows for writes only: by up to 1 MiB from its end without further ado, beyond that no more
than 2048 bytes below the stack pointer, or by a store that moves it there. It keeps a trylock and
the search of the exception table of its own; a retry waits for the lock.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import exec_implies_read
from refault.linux.arch.ptrace import Access, Kind, PtRegs
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm, VmArea


def stack_write(vma: VmArea, access: Access, regs: PtRegs) -> bool:
    """Judge the growth of a stack by how far it is from its end and from the stack pointer."""
    if not access.write:
        return False
    if access.address + 0x100000 >= vma.vm_end or access.address + 2048 >= regs.sp:
        return True
    return regs.user and regs.updates_sp


def unprotected(flags: Vm, access: Access) -> bool:
    """A read that met a protection is refused, whatever the VMA says."""
    if access.kind is not Kind.WRITE and access.present:
        return False
    return exec_implies_read(flags, access)


do_page_fault = register(
    PageFault(
        arch="microblaze",
        file="arch/microblaze/mm/fault.c",
        find=Find.DANCE,
        mask=unprotected,
        stack=stack_write,
        storage="regs.ear, esr",
    ),
    pieces=("killed",),
)
