"""Page faults on PowerPC (``arch/powerpc/mm/fault.c``).

The handler returns a signal number, and its caller looks at the exception table: kernel mode comes
to a fixup by any of them. The kernel's accesses to user memory that KUAP forbids are refused before
any lock is taken. A VMA that may only be executed cannot be read.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import ACCESS, accessible
from refault.linux.arch.parameters import BUS_FIRST, Kernel
from refault.linux.arch.ptrace import Access, End, Kind
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.siginfo import SiCode


def not_exec_only(flags: Vm, access: Access) -> bool:
    """The processor tells reads from fetches, so VM_EXEC alone is not enough to read."""
    if access.kind is Kind.EXEC:
        return bool(flags & Vm.EXEC)
    return accessible(flags, access) and (access.write or flags & ACCESS != Vm.EXEC)


@dataclass(frozen=True)
class PowerPC(PageFault):
    """The entry of PowerPC."""

    def before(self, f: InFlight) -> End | None:
        """``bad_kernel_fault()``: what KUAP forbids, and fetches by the kernel."""
        bad = not f.regs.user and (not f.regs.uaccess or f.access.kind is Kind.EXEC)
        return self.no_context(f) if bad else None


do_page_fault = register(
    PowerPC(
        arch="powerpc",
        file="arch/powerpc/mm/fault.c",
        vma_lock=True,
        order="SCRUE",
        mask=not_exec_only,
        disabled_signal=True,
        kernel=Kernel.KILLED,
        errors=BUS_FIRST,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        mceerr=True,
        storage="regs.dar, dsisr; thread.trap_nr",
    )
)
