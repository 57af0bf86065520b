"""Page faults on C-SKY (``arch/csky/mm/fault.c``).

Of errors it knows SIGBUS and out of memory; VM_FAULT_SIGSEGV and poison meet ``BUG()``, in kernel
mode as in user mode. The first of them is what a guard page answers since 6.13.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.parameters import Do
from refault.linux.include.linux.mm_types import VmFault

do_page_fault = register(
    PageFault(
        arch="csky",
        file="arch/csky/mm/fault.c",
        order="SCRUE",
        errors=((VmFault.OOM, Do.OOM), (VmFault.SIGBUS, Do.SIGBUS)),
        storage="thread.trap_no",
    )
)
