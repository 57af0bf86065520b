"""Page faults on MIPS (``arch/mips/mm/fault.c``).

Without the read and execute inhibit bits of newer processors any VMA that is not PROT_NONE can be
read; with them a fetch needs VM_EXEC and a read VM_READ. The model has them.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.include.linux.mm_types import Vm

do_page_fault = register(
    PageFault(
        arch="mips",
        file="arch/mips/mm/fault.c",
        mask=AnyOf(Vm.READ, Vm.WRITE, Vm.EXEC),
        disabled_signal=True,
        storage="thread.cp0_badvaddr, error_code, trap_nr",
    )
)
