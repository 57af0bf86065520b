"""Page faults on PA-RISC (``arch/parisc/mm/fault.c``).

Stacks grow up. A VMA needs every flag of the access. SIGBUS, SIGSEGV and poison share one way to
user mode, where the number of the trap chooses the signal, and where the VMA is read after
mmap_lock was given back. The model's trap is 15, a miss in the data TLB, or 6 for a fetch.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.linux.arch.effects import force_sig_fault, force_sig_mceerr
from refault.linux.arch.entry import ACCERR, MAPERR, InFlight, PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.parameters import POISON, Do
from refault.linux.arch.ptrace import End, Kind
from refault.linux.arch.refusal import Disabled
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm, VmArea, VmFault
from refault.linux.include.uapi.siginfo import SiCode
from refault.linux.include.uapi.signal import SIGBUS, SIGSEGV, Signal


@dataclass(frozen=True)
class Parisc(PageFault):
    """The entry of PA-RISC."""

    def denied(self, f: InFlight, vma: VmArea) -> End:
        """Remember the VMA: the signal is chosen by it."""
        return self.bad_area(f._replace(vma=vma))

    def not_found(self, f: InFlight) -> End:
        """There is no VMA to choose the signal by."""
        return self.bad_area(f._replace(vma=None))

    def sigbus(self, f: InFlight) -> End:
        """Go the one way."""
        return self.bad_area(f)

    def bad_area(self, f: InFlight) -> End:
        """Choose the signal, in user mode; no lock is held here."""
        if not f.regs.user:
            return self.no_context(f)
        if f.fault & POISON and self.tells_poison():
            force_sig_mceerr(f.fault, f.access.address)
        else:
            signo, code = self.chosen(f)
            force_sig_fault(signo, code, f.access.address)
        return End.RESUME

    def chosen(self, f: InFlight) -> tuple[Signal, SiCode]:
        """What trap 15 sends: by the VMA, though nothing keeps it from being freed."""
        vma = f.vma
        if f.access.kind is Kind.EXEC or vma is None:
            return SIGSEGV, MAPERR
        if not vma.vm_start <= f.access.address < vma.vm_end:
            return SIGSEGV, MAPERR
        if not self.mask(vma.vm_flags.read(), f.access):
            return SIGSEGV, ACCERR
        return SIGBUS, SiCode.BUS_ADRERR


do_page_fault = register(
    Parisc(
        arch="parisc",
        file="arch/parisc/mm/fault.c",
        find=Find.UP,
        mask=AnyOf(Vm.READ, Vm.WRITE, Vm.EXEC),
        disabled=Disabled.TRAPS,
        errors=(
            (VmFault.OOM, Do.OOM),
            (VmFault.SIGSEGV, Do.SIGSEGV),
            (VmFault.SIGBUS | POISON, Do.SIGBUS),
        ),
        one_code=False,
        mceerr=True,
        storage="regs.ior, isr",
    ),
    pieces=("killed",),
)
