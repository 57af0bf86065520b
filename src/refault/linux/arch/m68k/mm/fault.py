"""Page faults on m68k (``arch/m68k/mm/fault.c``).

User mode does not grow a stack by more than 256 bytes below the stack pointer. A read of a page
that is present, but not for reading, is never resolved. Signal and address are put into the thread
first and sent from there, also where no fault may be handled: SIGBUS then.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.effects import force_sig_fault
from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import accessible
from refault.linux.arch.ptrace import Access, End, Kind, PtRegs
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.siginfo import SiCode
from refault.linux.include.uapi.signal import SIGBUS


def near_stack_pointer(vma: VmArea, access: Access, regs: PtRegs) -> bool:
    """User mode may go 256 bytes below its stack pointer: some instructions decrement first."""
    return not regs.user or access.address + 256 >= regs.sp


def readable(flags: Vm, access: Access) -> bool:
    """A present page that is read faults for a reason that no handler removes."""
    if access.kind is Kind.READ and access.present:
        return False
    return accessible(flags, access)


@dataclass(frozen=True)
class M68k(PageFault):
    """The entry of m68k."""

    def refuse(self, f: InFlight) -> End:
        """Send SIGBUS, or look for a fixup."""
        if not f.regs.user:
            return self.no_context(f)
        force_sig_fault(SIGBUS, SiCode.SI_KERNEL, f.access.address)
        return End.RESUME


do_page_fault = register(
    M68k(
        arch="m68k",
        file="arch/m68k/mm/fault.c",
        find=Find.OWN,
        mask=readable,
        stack=near_stack_pointer,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        storage="thread.signo, code, faddr",
    ),
    pieces=("killed",),
)
