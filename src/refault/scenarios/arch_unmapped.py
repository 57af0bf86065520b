"""Mappings that go while a fault on them is under way."""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.arch.entry import MAPERR
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.signal import SIGBUS, SIGSEGV
from refault.scenarios.api import scenario
from refault.scenarios.arch_kernel_mode import everywhere
from refault.scenarios.arch_results import GENERIC, codes

STALE = (
    "csky",
    "alpha",
    "hexagon",
    "microblaze",
    "mips",
    "nios2",
    "openrisc",
    "sparc32",
    "sparc64",
    "xtensa",
    "um",
    "ia64",
)
"""Who sets the code of SIGSEGV before the first attempt only, and begins under mmap_lock."""


@scenario(
    source="arch/*/mm/fault.c: code = SEGV_MAPERR above the label retry",
    expect={
        **everywhere(dict.fromkeys(STALE, "assertion failure"), "holds"),
        **everywhere({}, "holds", GENERIC),
        "on riscv, without per_vma_lock": "assertion failure",
        "on loongarch, without per_vma_lock": "assertion failure",
    },
)
def unmapped_while_a_fault_waits(k: Kernel) -> None:
    """A fault that waits for a page whose mapping goes meanwhile ends in SEGV_MAPERR.

    Where the code is in a variable that says ACCERR once a mapping was found, the retry that finds
    none any more still says so: an access error for an address that nothing maps.
    """
    page, uffd = k.uffd_page()
    codes(k, MAPERR)

    @k.thread(process=page)
    def program() -> None:
        page.load()

    @k.thread
    def other() -> None:
        page.munmap()
        uffd.wake(page)


@scenario(
    source="arch/parisc/mm/fault.c: the signal is chosen by vma->vm_flags after mmap_read_unlock()",
    expect={
        **everywhere({"parisc": "use after free"}, "holds"),
        f"on parisc, {GENERIC}": "holds",
    },
)
def unmapped_while_a_signal_is_chosen(k: Kernel) -> None:
    """What signal a forbidden access ends in is not read from a mapping that is gone.

    parisc has given mmap_lock back when it looks at the mapping again.
    """
    page = k.mm().mmap(Vm.NONE)

    @k.thread(process=page, handlers={SIGSEGV: k.exit_group, SIGBUS: k.exit_group})
    def program() -> None:
        page.load()

    @k.thread
    def other() -> None:
        page.munmap()
