"""Page faults on RISC-V (``arch/riscv/mm/fault.c``).

Memory that may be written may be read. The kernel's accesses to user memory without SUM are refused
before any lock is taken. Poison is SIGBUS without further detail.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import write_implies_read
from refault.linux.arch.parameters import BUS_FIRST, Kernel
from refault.linux.arch.ptrace import End
from refault.linux.include.uapi.siginfo import SiCode


@dataclass(frozen=True)
class RiscV(PageFault):
    """The entry of RISC-V."""

    def before(self, f: InFlight) -> End | None:
        """Refuse the kernel's accesses outside ``uaccess`` routines."""
        return None if f.regs.user or f.regs.uaccess else self.no_context(f)


handle_page_fault = register(
    RiscV(
        arch="riscv",
        file="arch/riscv/mm/fault.c",
        function="handle_page_fault",
        vma_lock=True,
        order="SCRUE",
        mask=write_implies_read,
        kernel=Kernel.FIRST,
        errors=BUS_FIRST,
        segv=SiCode.SEGV_MAPERR,
        storage="thread.bad_cause",
    ),
    pieces=("killed", "poisoned", "sigsegv"),
)
