"""Page faults on OpenRISC (``arch/openrisc/mm/fault.c``).

It looks at ``in_interrupt()`` and not at ``faulthandler_disabled()``. User mode does not grow a
stack by more than a page below the stack pointer. SIGBUS is sent in kernel mode, too.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.ptrace import Access, PtRegs
from refault.linux.arch.refusal import Disabled
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE


def within_a_page(vma: VmArea, access: Access, regs: PtRegs) -> bool:
    """User mode may go one page below its stack pointer."""
    return not regs.user or access.address + PAGE_SIZE >= regs.sp


do_page_fault = register(
    PageFault(
        arch="openrisc",
        file="arch/openrisc/mm/fault.c",
        find=Find.OWN,
        mask=AnyOf(Vm.READ | Vm.EXEC, Vm.WRITE, Vm.EXEC),
        stack=within_a_page,
        disabled=Disabled.INTERRUPT,
        kernel_sigbus=True,
    ),
    pieces=("killed",),
)
