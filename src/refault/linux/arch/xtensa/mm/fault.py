"""Page faults on Xtensa (``arch/xtensa/mm/fault.c``).

Memory that may be written may be read. SIGBUS is sent in kernel mode, too, before the fixup.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import write_implies_read

do_page_fault = register(
    PageFault(
        arch="xtensa",
        file="arch/xtensa/mm/fault.c",
        mask=write_implies_read,
        kernel_sigbus=True,
    ),
    pieces=("killed",),
)
