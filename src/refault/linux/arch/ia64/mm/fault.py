"""Page faults on Itanium (``arch/ia64/mm/fault.c``), as they were until 6.7 removed it.

A VMA needs all the flags of an access, but what may be written may be read. The register backing
store grows up, by no more than a page at a time. SIGBUS shares the way of SIGSEGV, and its code by
number: BUS_ADRERR is what SEGV_ACCERR is. The prefetch of mmap_lock at the entry, which a comment
there calls critical, does nothing that a model could see.
"""

from __future__ import annotations

from refault.linux.arch.entry import PageFault, register
from refault.linux.arch.masks import write_implies_read
from refault.linux.arch.stack import Find

ia64_do_page_fault = register(
    PageFault(
        arch="ia64",
        file="arch/ia64/mm/fault.c",
        function="ia64_do_page_fault",
        find=Find.UP,
        mask=write_implies_read,
        storage="siginfo.si_isr",
        until="6.7",
    ),
    pieces=("killed",),
)
