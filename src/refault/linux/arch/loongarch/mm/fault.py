"""Page faults on LoongArch (``arch/loongarch/mm/fault.c``).

The code of SIGSEGV is a variable that says MAPERR until a VMA is found under mmap_lock. So
VM_FAULT_SIGSEGV is MAPERR for a fault under the lock of the VMA and ACCERR for the same fault
under mmap_lock. A read at the address of the instruction itself is a fetch.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import write_implies_read
from refault.linux.arch.parameters import POISON, Do
from refault.linux.include.linux.mm_types import VmFault

do_page_fault = register(
    PageFault(
        arch="loongarch",
        file="arch/loongarch/mm/fault.c",
        vma_lock=True,
        order="SCRUE",
        mask=write_implies_read,
        disabled_signal=True,
        errors=(
            (VmFault.OOM, Do.OOM),
            (VmFault.SIGSEGV, Do.SIGSEGV),
            (VmFault.SIGBUS | POISON, Do.SIGBUS),
        ),
        storage="thread.csr_badvaddr, error_code, trap_nr",
    )
)
