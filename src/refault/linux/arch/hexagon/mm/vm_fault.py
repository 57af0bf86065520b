"""Page faults on Hexagon (``arch/hexagon/mm/vm_fault.c``).

It looks at ``in_interrupt()`` and not at ``faulthandler_disabled()``, so a section without page
faults does not keep it from sleeping. A retry is only seen where there is no error.
"""

from __future__ import annotations

from refault.linux.arch.entry import ACCERR, PageFault, register
from refault.linux.arch.masks import AnyOf
from refault.linux.arch.parameters import Do, Kernel
from refault.linux.arch.refusal import Disabled
from refault.linux.include.linux.mm_types import Vm, VmFault

do_page_fault = register(
    PageFault(
        arch="hexagon",
        file="arch/hexagon/mm/vm_fault.c",
        order="SCrUE",
        mask=AnyOf(Vm.READ, Vm.WRITE, Vm.EXEC),
        disabled=Disabled.INTERRUPT,
        kernel=Kernel.FIRST,
        errors=((VmFault.OOM, Do.OOM), (VmFault.SIGBUS, Do.SIGBUS)),
        otherwise=Do.SIGSEGV,
        segv=ACCERR,
    ),
    pieces=("killed",),
)
