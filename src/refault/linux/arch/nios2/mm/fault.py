"""Page faults on Nios II (``arch/nios2/mm/fault.c``).

A miss in the TLB is filled with whatever the page table says, so each fault arrives as the
protection fault of what was wanted. A write *sets* the fault flags to WRITE where all others add
it: the handler may then neither retry nor be interrupted, and takes the fault for the kernel's.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.ptrace import Access, PtRegs
from refault.linux.include.linux.mm_types import FaultFlag, Vm


@dataclass(frozen=True)
class Nios2(PageFault):
    """The entry of Nios II."""

    def flags(self, access: Access, regs: PtRegs) -> FaultFlag:
        """A write drops everything else."""
        return FaultFlag.WRITE if access.write else super().flags(access, regs)


do_page_fault = register(
    Nios2(
        arch="nios2",
        file="arch/nios2/mm/fault.c",
        mask=AnyOf(Vm.READ, Vm.WRITE, Vm.EXEC),
        disabled_signal=True,
    ),
    pieces=("killed",),
)
