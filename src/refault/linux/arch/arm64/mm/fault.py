"""Page faults on arm64 (``arch/arm64/mm/fault.c``).

What may be executed may be read, unless the processor has EPAN; the model's has. Accesses of a
guarded control stack need a VMA that is one, and count as writes. Protection keys (POE) are not
modelled: ``pkey`` is never set.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import write_implies_read
from refault.linux.arch.parameters import POISON, Do, Kernel
from refault.linux.arch.ptrace import Access, PtRegs
from refault.linux.include.linux.mm_types import FaultFlag, Vm, VmArea, VmFault
from refault.linux.include.uapi.siginfo import SiCode


@dataclass(frozen=True)
class Arm64(PageFault):
    """The entry of arm64."""

    def flags(self, access: Access, regs: PtRegs) -> FaultFlag:
        """A guarded control stack is always written."""
        flags = super().flags(access, regs)
        return flags | FaultFlag.WRITE if access.shadow_stack else flags

    def allows(self, f: InFlight, vma: VmArea) -> bool:
        """Keep ordinary writes and those of the guarded control stack apart."""
        flags = vma.vm_flags.read()
        if f.access.shadow_stack:
            return bool(flags & Vm.SHADOW_STACK and flags & Vm.WRITE)
        if f.access.write and flags & Vm.SHADOW_STACK:
            return False
        return self.mask(flags, f.access)


do_page_fault = register(
    Arm64(
        arch="arm64",
        file="arch/arm64/mm/fault.c",
        vma_lock=True,
        order="SCRUE",
        mask=write_implies_read,
        kernel=Kernel.FIRST,
        errors=((VmFault.OOM, Do.OOM), (VmFault.SIGBUS, Do.SIGBUS), (POISON, Do.SIGBUS)),
        otherwise=Do.SIGSEGV,
        one_code=False,
        segv=SiCode.SEGV_MAPERR,
        mceerr=True,
        mceerr_always=True,
        storage="thread.fault_address, fault_code",
    ),
    pieces=("killed",),
)
