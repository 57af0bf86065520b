"""Page faults on arm (``arch/arm/mm/fault.c``).

Under mmap_lock an error keeps a retry from being seen. Poison is not told apart from any other
error: it is SIGSEGV. With CONFIG_CPU_TTBR0_PAN the kernel's accesses outside ``uaccess`` sections
arrive here and are refused; the model has it.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import ACCESS, AnyOf
from refault.linux.arch.parameters import Do, Kernel
from refault.linux.arch.ptrace import End
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.siginfo import SiCode


@dataclass(frozen=True)
class Arm(PageFault):
    """The entry of arm."""

    def before(self, f: InFlight) -> End | None:
        """Refuse the kernel's accesses to user memory where it has not opened it."""
        return None if f.regs.user or f.regs.uaccess else self.no_context(f)


do_page_fault = register(
    Arm(
        arch="arm",
        file="arch/arm/mm/fault.c",
        vma_lock=True,
        order="SCrUE",
        mask=AnyOf(ACCESS, Vm.WRITE, Vm.EXEC),
        kernel=Kernel.FIRST,
        errors=((VmFault.OOM, Do.OOM), (VmFault.SIGBUS, Do.SIGBUS)),
        otherwise=Do.SIGSEGV,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        storage="thread.address, error_code, trap_no",
    ),
    pieces=("killed",),
)
