"""Page faults on Itanium (``arch/ia64/mm/fault.c``), as they were until 6.7 removed it.

A VMA needs all the flags of an access, but what may be written may be read. The register backing
store grows up, by no more than a page at a time. SIGBUS shares the way of SIGSEGV, and its code by
number: BUS_ADRERR is what SEGV_ACCERR is. The prefetch of mmap_lock at the entry, which a comment
there calls critical, is a look at the lock from which nothing follows.
"""

from __future__ import annotations

from refault.linux.arch.entry import InFlight, PageFault, register
from refault.linux.arch.masks import write_implies_read
from refault.linux.arch.ptrace import End
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.modelled import kernel_function


@kernel_function("include/linux/prefetch.h", quiet=True)
def prefetchw(mm: MmStruct) -> None:
    """Bring mmap_lock into the cache, to be written soon."""
    mm.mmap_lock.count.read()


class Ia64(PageFault):
    """The entry of Itanium."""

    def before(self, f: InFlight) -> End | None:
        """Ask for the lock's cache line."""
        prefetchw(f.mm)
        return None


ia64_do_page_fault = register(
    Ia64(
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
