"""Page faults on 32-bit SPARC (``arch/sparc/mm/fault_32.c``).

After SIGBUS for user mode the handler runs on into the code for faults of the kernel's address
space, finds nothing to copy there and sends SIGSEGV as well. In kernel mode the exception table is
searched, and what was found is used without a look whether anything was.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import exec_implies_read
from refault.linux.arch.ptrace import End
from refault.linux.arch.refusal import Disabled


@dataclass(frozen=True)
class Sparc32(PageFault):
    """The entry of 32-bit SPARC."""

    def sigbus(self, f: InFlight) -> End:
        """Send SIGBUS; user mode then falls through."""
        end = super().sigbus(f)
        return self.bad_area(f) if f.regs.user else end


do_sparc_fault = register(
    Sparc32(
        arch="sparc32",
        file="arch/sparc/mm/fault_32.c",
        function="do_sparc_fault",
        mask=exec_implies_read,
        disabled=Disabled.PAGEFAULT,
        kernel_sigbus=True,
    ),
    pieces=("killed",),
)
