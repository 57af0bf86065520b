"""Page faults on ARC (``arch/arc/mm/fault.c``).

All that went wrong comes to one place, which looks at the last result of ``handle_mm_fault()``,
VM_FAULT_SIGSEGV if there was none. So when a retry finds the VMA gone or closed, the last result is
RETRY, the fault counts as handled, and the instruction faults once more.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.parameters import Do, Kernel
from refault.linux.arch.ptrace import End
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.siginfo import SiCode


@dataclass(frozen=True)
class Arc(PageFault):
    """The entry of ARC."""

    def bad_area(self, f: InFlight) -> End:
        """Send SIGSEGV, unless the last result was no error."""
        if f.fault and not f.fault & VmFault.ERROR:
            return End.RESUME
        return super().bad_area(f)


do_page_fault = register(
    Arc(
        arch="arc",
        file="arch/arc/mm/fault.c",
        order="SCRUE",
        mask=AnyOf(Vm.READ, Vm.WRITE, Vm.EXEC),
        kernel=Kernel.FIRST,
        errors=((VmFault.OOM, Do.OOM), (VmFault.SIGBUS, Do.SIGBUS)),
        otherwise=Do.SIGSEGV,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        storage="thread.fault_address",
    )
)
