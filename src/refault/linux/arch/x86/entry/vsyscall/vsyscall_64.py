"""Emulated vsyscalls (``arch/x86/entry/vsyscall/vsyscall_64.c``).

Old programs call ``time()`` by jumping to a fixed address that nothing maps. The fault on the fetch
is the call: the handler runs the system call and returns for it. A bad pointer, which the real
vsyscall would have faulted on, must look like a fault to the program, so it ends in SIGSEGV.
Seccomp, misaligned calls and the mode ``vsyscall=none`` are left out.
"""

from __future__ import annotations

from refault.linux.arch.effects import force_sig_fault
from refault.linux.arch.ptrace import UACCESS, Access, Kind, PtRegs
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.siginfo import SiCode
from refault.linux.include.uapi.signal import SIGSEGV
from refault.linux.modelled import kernel_function

VSYSCALL_ADDR = 0xFFFFFFFFFF600000


def is_vsyscall_vaddr(address: int) -> bool:
    """Tell whether an address is in the page of vsyscalls."""
    return address & ~0xFFF == VSYSCALL_ADDR


@kernel_function("arch/x86/entry/vsyscall/vsyscall_64.c")
def emulate_vsyscall(mm: MmStruct, access: Access, regs: PtRegs) -> bool:
    """Run ``time(tloc)`` for the program; False for an access that is no call.

    ``tloc``, where the time is stored, is in ``regs.di``. Whatever goes wrong with it is SIGSEGV.
    """
    from refault.linux.arch.mmu import put_user  # noqa: PLC0415  # faults within the fault

    if access.kind is not Kind.EXEC or not regs.user:
        return False
    if put_user(mm, regs.di, 1, UACCESS._replace(vsyscall=True)):
        vsyscall_failed(regs.di)
    return True


@kernel_function("arch/x86/entry/vsyscall/vsyscall_64.c", quiet=True)
def vsyscall_failed(address: int) -> None:
    """Tell the program of a bad pointer, which is all that it is told."""
    force_sig_fault(SIGSEGV, SiCode.SI_KERNEL, 0)
