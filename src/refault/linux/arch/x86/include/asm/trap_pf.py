"""The error code of #PF (``arch/x86/include/asm/trap_pf.h``)."""

from __future__ import annotations

from enum import IntFlag

from refault.linux.arch.ptrace import Access, Kind, PtRegs


class X86PfErrorCode(IntFlag):
    """What the processor pushes on the stack."""

    NONE = 0
    PROT = 0x1
    WRITE = 0x2
    USER = 0x4
    RSVD = 0x8
    INSTR = 0x10
    PK = 0x20
    SHSTK = 0x40
    SGX = 0x8000


def error_code(access: Access, regs: PtRegs) -> X86PfErrorCode:
    """Return the error code of an access."""
    bits = {
        X86PfErrorCode.PROT: access.present,
        X86PfErrorCode.WRITE: access.write,
        X86PfErrorCode.USER: regs.user,
        X86PfErrorCode.RSVD: access.reserved,
        X86PfErrorCode.INSTR: access.kind is Kind.EXEC,
        X86PfErrorCode.PK: access.pkey,
        X86PfErrorCode.SHSTK: access.shadow_stack,
        X86PfErrorCode.SGX: access.sgx,
    }
    code = X86PfErrorCode.NONE
    for bit, present in bits.items():
        code |= bit if present else X86PfErrorCode.NONE
    return code
