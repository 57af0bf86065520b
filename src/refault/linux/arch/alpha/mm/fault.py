"""Page faults on alpha (``arch/alpha/mm/fault.c``).

Memory that may be written may be read. VM_FAULT_SIGBUS sends SIGBUS in kernel mode, too, before the
fixup. A load into register 31 is a prefetch on newer processors and is skipped on older ones; such
instructions are not modelled.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import write_implies_read

do_page_fault = register(
    PageFault(
        arch="alpha",
        file="arch/alpha/mm/fault.c",
        mask=write_implies_read,
        kernel_sigbus=True,
    ),
    pieces=("killed",),
)
