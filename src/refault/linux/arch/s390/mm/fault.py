"""Page faults on s390 (``arch/s390/mm/fault.c``).

User memory is an address space of its own, so the hardware tells whether an access meant it: a
fault on the kernel's never takes a lock. Anything that is not PROT_NONE can be read, and executed
as far as this handler goes: a fetch that the page forbids is refused before it.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import ACCERR, InFlight, PageFault, register
from refault.linux.arch.masks import ACCESS, AnyOf
from refault.linux.arch.parameters import POISON, Do
from refault.linux.arch.ptrace import End, Kind
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.siginfo import SiCode


@dataclass(frozen=True)
class S390(PageFault):
    """The entry of s390."""

    def before(self, f: InFlight) -> End | None:
        """``is_kernel_fault()``, and the protection that forbids to execute."""
        if not f.regs.user and not f.regs.uaccess:
            return self.no_context(f)
        if f.access.kind is Kind.EXEC and f.access.present:
            return self.bad_area(f._replace(code=ACCERR))
        return None


do_exception = register(
    S390(
        arch="s390",
        file="arch/s390/mm/fault.c",
        function="do_exception",
        vma_lock=True,
        order="SCRUE",
        mask=AnyOf(ACCESS, Vm.WRITE, ACCESS),
        disabled_signal=True,
        errors=(
            (VmFault.OOM, Do.OOM),
            (VmFault.SIGSEGV, Do.SIGSEGV),
            (VmFault.SIGBUS | POISON, Do.SIGBUS),
        ),
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        storage="regs.int_parm_long",
    ),
    pieces=("poisoned",),
)
