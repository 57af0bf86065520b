"""The processor's way to user memory, and into the fault handler where it ends.

What the hardware does by itself is in ``asm/access``. After a fault the instruction runs again, or,
in the kernel, goes on at its entry in the exception table. ``get_user()`` and its like are such
accesses of the kernel: they return -EFAULT from there.
"""

from __future__ import annotations

from refault.explore import note, restart
from refault.linux.arch.entry import ENTRIES
from refault.linux.arch.ptrace import UACCESS, USER, Access, End, Kind, PtRegs
from refault.linux.arch.table import entry
from refault.linux.asm.access import hardware_add, hardware_load, hardware_store
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.linux.uaccess import no_page_faults
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.kernel.entry.common import irqentry_exit_to_user_mode
from refault.linux.modelled import current_kernel, kernel_function

WORD = 8
"""Bytes in a word."""


def page_fault(mm: MmStruct, access: Access, regs: PtRegs) -> End:
    """Enter the handler of the machine's architecture."""
    arch = current_kernel().arch
    if arch != "x86":
        note(f"page fault, {access.kind.value}" + ("" if regs.user else ", in the kernel"))
    return ENTRIES[arch].call(mm, access, regs)


@kernel_function("arch/x86/mm/fault.c")
def store(mm: MmStruct, address: int, value: int, regs: PtRegs = USER) -> None:
    """Store to memory in user mode; runs again after each fault."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        if hardware_store(mm, address, value):
            return
        page_fault(mm, Access(address, Kind.WRITE), regs)


@kernel_function("arch/x86/mm/fault.c")
def add(mm: MmStruct, address: int, by: int, regs: PtRegs = USER) -> None:
    """Add to memory in user mode, in one instruction; runs again after each fault."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        if hardware_add(mm, address, by):
            return
        page_fault(mm, Access(address, Kind.WRITE), regs)


@kernel_function("arch/x86/mm/fault.c")
def load(mm: MmStruct, address: int, regs: PtRegs = USER) -> int:
    """Load from memory in user mode; runs again after each fault."""
    while True:
        restart()
        irqentry_exit_to_user_mode()
        value = hardware_load(mm, address)
        if value is not None:
            return value
        page_fault(mm, Access(address), regs)


@kernel_function("arch/x86/mm/fault.c")
def fetch(mm: MmStruct, address: int, regs: PtRegs = USER) -> None:
    """Jump to an address where no code is mapped: a call of a vsyscall, or the end."""
    page_fault(mm, Access(address, Kind.EXEC), regs)


@kernel_function("include/linux/uaccess.h", quiet=True)
def copy_to_user(mm: MmStruct, address: int, value: int, regs: PtRegs = UACCESS) -> int:
    """Copy a word to the user in one shot; returns the bytes that were not copied."""
    again = False
    while True:
        restart(again)
        if hardware_store(mm, address, value):
            return 0
        if again and entry(current_kernel().arch).looks_once:
            return WORD
        if page_fault(mm, Access(address, Kind.WRITE), regs) is End.FIXUP:
            return WORD
        again = True


@kernel_function("include/linux/uaccess.h", quiet=True)
def copy_from_user(mm: MmStruct, address: int, regs: PtRegs = UACCESS) -> int | None:
    """Copy a word from the user in one shot; None where that fails, for -EFAULT.

    What a copy of more than a word does after a fault, byte by byte, is not modelled.
    """
    again = False
    while True:
        restart(again)
        value = hardware_load(mm, address)
        if value is not None:
            return value
        if again and entry(current_kernel().arch).looks_once:
            return None
        if page_fault(mm, Access(address), regs) is End.FIXUP:
            return None
        again = True


@kernel_function("mm/maccess.c", quiet=True)
def copy_from_user_nofault(mm: MmStruct, address: int) -> int | None:
    """Copy a word from the user without handling faults; None where there is one.

    That faults are not handled is up to the architecture.
    """
    with no_page_faults():
        return copy_from_user(mm, address)


@kernel_function("include/linux/uaccess.h")
def put_user(mm: MmStruct, address: int, value: int, regs: PtRegs = UACCESS) -> int:
    """Store a word for the user; 0, or -EFAULT."""
    return -EFAULT if copy_to_user(mm, address, value, regs) else 0


@kernel_function("include/linux/uaccess.h")
def get_user(mm: MmStruct, address: int, regs: PtRegs = UACCESS) -> int:
    """Load a word of the user; -EFAULT where that fails."""
    value = copy_from_user(mm, address, regs)
    return -EFAULT if value is None else value
