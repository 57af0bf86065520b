"""What the hardware tells of a fault, in one form for all architectures.

``PtRegs`` is what a handler asks the saved registers, ``Access`` what it asks the registers in
which a processor describes the access that failed. Each architecture decodes its own of these in
ways that have nothing to do with memory management; the model begins after that.
"""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from refault.linux.include.linux.mm_types import FaultFlag

TOP = 1 << 40
"""An address above everything that is mapped."""


class Kind(Enum):
    """What the instruction wanted to do."""

    READ = "read"
    WRITE = "write"
    EXEC = "exec"

    @property
    def flag(self) -> FaultFlag:
        """The flag of ``enum fault_flag`` that says so."""
        return _FLAGS[self]


_FLAGS = {
    Kind.READ: FaultFlag.NONE,
    Kind.WRITE: FaultFlag.WRITE,
    Kind.EXEC: FaultFlag.INSTRUCTION,
}


class Access(NamedTuple):
    """An access that faulted.

    ``present`` tells that there was a PTE and it forbade the access, ``pkey`` that a protection
    key did; ``shadow_stack`` marks an access by the call and return of a shadow stack (x86, and
    arm64's GCS). ``reserved`` bits set in a PTE and an enclave's page (``sgx``) are x86's.
    """

    address: int
    kind: Kind = Kind.READ
    present: bool = False
    pkey: bool = False
    shadow_stack: bool = False
    reserved: bool = False
    sgx: bool = False

    @property
    def write(self) -> bool:
        """Whether it is a store."""
        return self.kind is Kind.WRITE


class PtRegs(NamedTuple):
    """``struct pt_regs``, as far as a fault handler asks it.

    ``user`` is ``user_mode()``; ``extable``, whether the exception table has an entry for the
    instruction; ``uaccess``, whether the kernel may touch user memory just now (EFLAGS.AC, KUAP,
    SUM, PAN). ``sp`` is the user's stack pointer, and ``updates_sp`` tells of a store that moves
    it there. ``di`` is the first argument of a call, ``vsyscall`` marks what the kernel does for
    an emulated one.
    """

    user: bool = True
    extable: bool = False
    uaccess: bool = False
    sp: int = 0
    updates_sp: bool = False
    di: int = 0
    vsyscall: bool = False


USER = PtRegs()
"""An instruction of user mode."""

UACCESS = PtRegs(user=False, extable=True, uaccess=True)
"""An instruction of ``copy_from_user()`` and its like: the kernel expects that it may fault."""

KERNEL = PtRegs(user=False)
"""Any other instruction of the kernel: that it faults is a bug."""


class End(Enum):
    """How a fault handler returns to the instruction.

    RESUME runs it again, FIXUP goes on at its entry in the exception table, which makes the
    user access fail. Signals are sent on the way; ``BUG()`` and an oops do not return.
    """

    RESUME = "resume"
    FIXUP = "fixup"
