"""Page faults on user-mode Linux (``arch/um/kernel/trap.c``).

The kernel reaches user memory by looking the page up, and calls the handler itself where there is
none, as if for user mode; so there is no exception table, and a fault of the kernel on user memory
is a panic. ``handle_mm_fault()`` is called until the PTE is present, with mmap_lock held; only
SIGKILL ends a retry, and nothing else ends the loop. The handler returns an error number: EACCES
stands for SIGBUS.
"""

from __future__ import annotations

from dataclasses import dataclass

from refault.explore import Violation, restart
from refault.linux.arch.effects import pagefault_out_of_memory
from refault.linux.arch.entry import InFlight, PageFault, fault_tried, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.ptrace import Access, End, PtRegs
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import FaultFlag, Vm, VmFault
from refault.linux.include.linux.pgtable import ptep_get
from refault.linux.include.linux.sched.signal import fatal_signal_pending
from refault.linux.mm.memory import handle_mm_fault
from refault.linux.mm.mmap_lock import mmap_read_unlock
from refault.linux.modelled import current


@dataclass(frozen=True)
class UserMode(PageFault):
    """The entry of user-mode Linux."""

    def flags(self, access: Access, regs: PtRegs) -> FaultFlag:
        """The kernel's own accesses count as those of user mode."""
        return super().flags(access, regs._replace(user=True))

    def before(self, f: InFlight) -> End | None:
        """Only ``copy_from_user()`` and its like may touch user memory."""
        if f.regs.user or f.regs.extable:
            return None
        raise Violation("panic", f"kernel mode fault at {f.access.address:#x}")

    def after(self, f: InFlight) -> InFlight | End:
        """Judge the result, and ask again until the PTE is present."""
        while True:
            restart(f.flags, f.code, f.fault)
            if f.fault & VmFault.RETRY and fatal_signal_pending(current()):
                return self.bad_area(f)
            if f.fault & VmFault.COMPLETED:
                return End.RESUME
            if f.fault & VmFault.ERROR:
                mmap_read_unlock(f.mm)
                return self.error(f)
            if f.fault & VmFault.RETRY:
                return f._replace(flags=fault_tried(f.flags))
            if ptep_get(f.mm.pte(f.access.address)).present:
                break
            assert f.vma is not None
            again = handle_mm_fault(f.vma, f.access.address, f.flags)
            f = f._replace(fault=again)
        mmap_read_unlock(f.mm)
        return End.RESUME

    def error(self, f: InFlight) -> End:
        """Answer an error; after the OOM killer the kernel finds no page and gives up."""
        if f.fault & VmFault.OOM:
            pagefault_out_of_memory()
            return End.RESUME if f.regs.user else End.FIXUP
        return super().error(f)


handle_page_fault = register(
    UserMode(
        arch="um",
        file="arch/um/kernel/trap.c",
        function="handle_page_fault",
        find=Find.UM,
        order="",
        mask=AnyOf(Vm.READ | Vm.EXEC, Vm.WRITE, Vm.READ | Vm.EXEC),
        disabled_signal=True,
        looks_once=True,
        storage="thread.arch.faultinfo",
    )
)
