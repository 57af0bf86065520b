"""Page faults on SuperH (``arch/sh/mm/fault.c``).

``mm_fault_error()`` sees every result with RETRY or an error, and comes before the test for
COMPLETED. It gives mmap_lock back, and for SIGBUS and SIGSEGV calls helpers that give it back once
more. In kernel mode SIGBUS is sent after the fixup.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.explore import Violation
from refault.linux.arch.effects import force_sig_fault, pagefault_out_of_memory
from refault.linux.arch.entry import MAPERR, InFlight, PageFault, fault_tried, interrupted, register
from refault.linux.arch.masks import accessible
from refault.linux.arch.ptrace import Access, End, Kind
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.siginfo import SiCode
from refault.linux.include.uapi.signal import SIGBUS
from refault.linux.mm.mmap_lock import mmap_read_unlock


def fetch_needs_exec(flags: Vm, access: Access) -> bool:
    """A fetch needs VM_EXEC; otherwise anything but PROT_NONE can be read."""
    return accessible(flags, access) and (access.kind is not Kind.EXEC or bool(flags & Vm.EXEC))


@dataclass(frozen=True)
class SuperH(PageFault):
    """The entry of SuperH."""

    def after(self, f: InFlight) -> InFlight | End:
        """Judge the result, errors and retries first."""
        if f.fault & (VmFault.RETRY | VmFault.ERROR):
            end = self.mm_fault_error(f)
            if end is not None:
                return end
        if f.fault & VmFault.COMPLETED:
            return End.RESUME
        if f.fault & VmFault.RETRY:
            return f._replace(flags=fault_tried(f.flags))
        mmap_read_unlock(f.mm)
        return End.RESUME

    def mm_fault_error(self, f: InFlight) -> End | None:
        """Answer signals and errors; None if it is only a retry."""
        if interrupted(f.fault, f.regs):
            return End.RESUME if f.regs.user else self.no_context(f)
        if not f.fault & VmFault.RETRY:
            mmap_read_unlock(f.mm)
        if not f.fault & VmFault.ERROR:
            return None
        if f.fault & VmFault.OOM:
            if not f.regs.user:
                return self.no_context(f)
            pagefault_out_of_memory()
            return End.RESUME
        if not f.fault & (VmFault.SIGBUS | VmFault.SIGSEGV):
            raise Violation("BUG", f"sh does not expect {f.fault!r}")
        mmap_read_unlock(f.mm)
        if f.fault & VmFault.SIGBUS:
            return self.sigbus(f)
        return self.bad_area(f._replace(code=MAPERR))

    def sigbus(self, f: InFlight) -> End:
        """Look for a fixup in kernel mode, then send SIGBUS in either."""
        end = End.RESUME if f.regs.user else self.no_context(f)
        force_sig_fault(SIGBUS, SiCode.BUS_ADRERR, f.access.address)
        return end


do_page_fault = register(
    SuperH(
        arch="sh",
        file="arch/sh/mm/fault.c",
        order="",
        mask=fetch_needs_exec,
        disabled_signal=True,
        one_code=False,
        segv=MAPERR,
        kernel_sigbus=True,
        storage="thread_info.fault_code",
    )
)
