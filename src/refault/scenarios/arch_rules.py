"""Masks, stack rules and other parameters of the fault entries, put to the test."""

from __future__ import annotations

from refault.explore import choose
from refault.linux import Kernel
from refault.linux.arch.entry import MAPERR
from refault.linux.arch.masks import ACCESS
from refault.linux.arch.mmu import fetch, store
from refault.linux.arch.ptrace import USER, Access, Kind
from refault.linux.arch.table import entries, entry
from refault.linux.arch.x86.entry.vsyscall.vsyscall_64 import VSYSCALL_ADDR
from refault.linux.include.linux.mm_types import Vm, VmFault
from refault.linux.include.uapi.siginfo import SiCode
from refault.patches.served import service
from refault.scenarios.api import scenario
from refault.scenarios.arch_kernel_mode import VIRO_XU, everywhere
from refault.scenarios.arch_results import answer, codes, one_access

WRITE_READS = ("arm64", "riscv", "powerpc", "loongarch", "alpha", "xtensa", "ia64")
ANYTHING_READS = ("x86", "arm", "s390", "csky", "m68k", "sh")


@scenario(
    source=VIRO_XU,
    claims=("22",),
    expect=everywhere(dict.fromkeys((*WRITE_READS, *ANYTHING_READS), "holds"), "SIGSEGV"),
)
def read_of_write_only_memory(k: Kernel) -> None:
    """Memory that may be written and not read can be read: on alpha, says its source.

    So it can wherever write implies read, and wherever only PROT_NONE is looked for.
    """
    page = k.mm().mmap(Vm.WRITE)

    @k.thread
    def program() -> None:
        page.load()


@scenario(
    source=VIRO_XU,
    claims=("23",),
    expect=everywhere(dict.fromkeys(("x86", "m68k", "microblaze"), "assertion failure"), "holds"),
)
def one_of_some_flags_is_enough(k: Kernel) -> None:
    """Which VMAs allow an access can be said by a set of flags, one of which they must have.

    A set for each kind of access. Not where a fault on a present page is judged otherwise: x86,
    m68k, microblaze.
    """
    arch = entry(k.arch)

    @k.thread
    def program() -> None:
        kind = choose(*Kind)
        present = choose(False, True)
        sets = [Vm(bits) for bits in range(8)]
        by_kind = [arch.mask(flags, Access(0, kind)) for flags in sets]
        wanted = [w for w in sets if [bool(f & w & ACCESS) for f in sets] == by_kind]
        assert wanted, f"no set of flags says what may be: {kind.value}"
        flags = choose(*sets)
        assert arch.mask(flags, Access(0, kind, present=present)) == bool(flags & wanted[0])


FAR = 0x800
"""How far the stack pointer is above the page that the stack has; a page is 0x1000."""


@scenario(
    source=VIRO_XU,
    claims=("26",),
    expect=everywhere({"m68k": "SIGSEGV", "openrisc": "SIGSEGV"}, "holds"),
)
def write_far_below_the_stack_pointer(k: Kernel) -> None:
    """A write far below the stack pointer grows the stack.

    Not on m68k, which allows 256 bytes, and on openrisc, which allows a page. parisc grows up.
    """
    process = k.mm()
    process.mmap()
    page, beside = process.stack()
    regs = USER._replace(sp=page.address + FAR)

    @k.thread
    def program() -> None:
        store(page.mm, beside.address, 1, regs)


@scenario(
    source=VIRO_XU,
    claims=("14",),
    expect={
        **everywhere({"arm": "holds"}, "assertion failure"),
        "on arm, without stackrot": "holds",
        "on arm, without arm_private_retvals, without stackrot": "holds",
        "without stackrot": "assertion failure",
    },
)
def stack_below_the_first_user_address(k: Kernel) -> None:
    """A stack does not grow below FIRST_USER_ADDRESS: that is a bad area like any other.

    Only arm has such an address in the model; since 6.5 the limit is one of all. The story tells
    the growth of a stack apart from SEGV_MAPERR.
    """
    _page, beside = k.mm().stack()
    codes(k, MAPERR)

    @k.thread(process=beside)
    def program() -> None:
        beside.store(1)
        raise AssertionError("the stack has grown")


@scenario(
    source="CVE-2023-3269, Ruihan Li",
    expect={
        "": "holds",
        "without stackrot": "use after free",
        "6.4": "use after free",
        "6.1.36": "use after free",
        "6.1.37": "holds",
        "on m68k": "holds",
        "on m68k, without stackrot": "use after free",
        "on parisc": "holds",
        "on parisc, without stackrot": "use after free",
    },
)
def stack_grows_beside_a_fault(k: Kernel) -> None:
    """A stack that grows does not pull the tree of VMAs from under somebody who walks it.

    Both had mmap_lock for reading: one put a new node in the place of the old, which RCU freed, and
    the other was on its way there, in no read section of RCU.
    """
    page, beside = k.mm().stack()

    @k.thread
    def grower() -> None:
        beside.store(1)

    @k.thread
    def walker() -> None:
        page.get_user()


@scenario(
    source=VIRO_XU,
    claims=("18", "Q5"),
    expect={
        "": "SIGSEGV",
        "with generic_page_fault": "SIGSEGV",
        "without vsyscall_signals": ("SIGBUS", "SIGSEGV"),
    },
)
def vsyscall_with_a_bad_pointer(k: Kernel) -> None:
    """What a program is told of a bad pointer that it gave to a vsyscall.

    Until 6.9 it was the signal that each call of ``kernelmode_fixup_or_oops()`` passed along, which
    nothing else looked at; since then it is always SIGSEGV.
    """
    page = k.mm().mmap()
    answer(k, VmFault.SIGBUS, VmFault.SIGSEGV)

    @k.thread
    def program() -> None:
        fetch(page.mm, VSYSCALL_ADDR, USER._replace(di=page.address))


PRIVATE = {
    f"on {arch}{variant}": verdict
    for arch, verdict in (("arm", "assertion failure"), ("arm64", "holds"))
    for variant in ("", ", without arm_private_retvals")
}


@scenario(source=VIRO_XU, claims=("15",), expect={"": "holds", **PRIVATE})
def poisoned_huge_page(k: Kernel) -> None:
    """Poison in a huge page of any size is SIGBUS, with the code that says so.

    arm and arm64 had two results of their own within the bits that say which size it is. They hit
    each other, and nobody noticed: arm64 looks for poison first. That arm does not, and sends
    SIGSEGV, has another reason.
    """
    one_access(k)
    answer(k, *(VmFault.HWPOISON_LARGE | VmFault(index << 16) for index in range(16)))
    codes(k, SiCode.BUS_MCEERR_AR)


@scenario(source=VIRO_XU, claims=("21",), expect={"": "assertion failure"})
def fault_details_have_one_place(k: Kernel) -> None:
    """What ptrace finds of a fault is in the same place of a task, on all architectures."""
    places = {arch.storage for arch in entries().values()}

    @k.thread
    def program() -> None:
        assert len(places) == 1, f"{len(places)} places on {len(entries())} architectures"


@scenario(
    source=VIRO_XU,
    claims=("25",),
    expect={"on ia64": "holds", "on ia64, with no_prefetch": "holds"},
)
def prefetch_of_the_lock(k: Kernel) -> None:
    """To look at mmap_lock before it is taken changes nothing, whoever has it."""
    process = k.mm()
    page = process.mmap()

    @k.thread
    def program() -> None:
        page.store(1)
        assert page.load() == 1

    @k.thread
    def other() -> None:
        page.mprotect(Vm.READ | Vm.WRITE)


SERVED = ("x86", "arm", "arm64", "powerpc", "s390")


@scenario(
    source=VIRO_XU,
    claims=("Q4",),
    expect=everywhere(dict.fromkeys(SERVED, "holds"), "assertion failure"),
)
def generic_page_fault_changes_nothing(k: Kernel) -> None:
    """One ``generic_page_fault()``, given masks and a stack rule, does what the own entry does.

    In each case of result, mode, pending signal and lock, for some setting of what else it can be
    asked for. Where that is not so, ``refault arches --served`` lists the cases.
    """
    found = service(k.arch)

    @k.thread
    def program() -> None:
        assert not found.differences, f"{len(found.differences)} of {found.cases} cases differ"
