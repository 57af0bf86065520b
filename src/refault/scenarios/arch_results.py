"""Results of ``handle_mm_fault()``, and what each architecture makes of them.

Some are those of real memory, a guard page or a poisoned one. The rest are answers of a handler
that a story gives itself: it obeys the lock contract, and succeeds when it is asked again. A
process has handlers for SIGSEGV and SIGBUS that end it.
"""

from __future__ import annotations

from collections.abc import Callable

from refault.explore import choose
from refault.linux import Kernel, Page
from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.entry import DROPPED
from refault.linux.arch.table import entry
from refault.linux.include.linux.mm_types import FaultFlag, Vm, VmArea, VmFault, VmFaultInfo
from refault.linux.include.linux.pgtable import ZERO_PFN, mk_pte
from refault.linux.include.uapi.siginfo import SiCode, SigInfo
from refault.linux.include.uapi.signal import SIGBUS, SIGKILL, SIGSEGV
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.scenarios.api import scenario
from refault.scenarios.arch_kernel_mode import VIRO_XU, everywhere, on

GENERIC = "with generic_page_fault"
NO_POISON = tuple(
    arch
    for arch in ARCHITECTURES
    if arch not in ("x86", "arm", "arm64", "riscv", "powerpc", "s390", "loongarch")
    and arch not in ("arc", "hexagon", "parisc")
)
"""Who does not expect poison."""


def answer(k: Kernel, *results: VmFault, maps: bool = True) -> None:
    """Let the memory of a story be served by a handler that returns one of these results.

    When it is asked again, by a fault or a retry, it returns that it is done. ``maps`` says whether
    it then maps a page.
    """
    asked = k.program.cell("asked", False)

    def handle_mm_fault(vma: VmArea, address: int, flags: FaultFlag) -> VmFault:
        fault = VmFault.NONE if asked.read() and maps else choose(*results)
        asked.write(True)
        if fault & DROPPED:
            release_fault_lock(VmFaultInfo(vma, address, flags, Vm.NONE))
        if maps and not fault & (VmFault.ERROR | VmFault.RETRY):
            vma.vm_mm.pte(address).write(mk_pte(ZERO_PFN))
        return fault

    k.patched["handle_mm_fault"] = handle_mm_fault


def one_access(k: Kernel, contents: str = "") -> Page:
    """Begin a story: a process reads a page, itself or by a system call, and dies of any signal."""
    page = k.mm().mmap(contents=contents)
    k.patched["pagefault_out_of_memory"] = k.exit_group

    @k.thread(process=page, handlers={SIGSEGV: k.exit_group, SIGBUS: k.exit_group})
    def program() -> None:
        if choose("user mode", "kernel mode") == "user mode":
            page.load()
        else:
            page.get_user()

    return page


def codes(k: Kernel, *allowed: SiCode, then: Callable[[], object] | None = None) -> None:
    """State which codes signals may have, if there are any; then the process ends."""

    def force_sig_info_to_task(info: SigInfo) -> None:
        assert info.code in allowed, f"{info}"
        (then or k.exit_group)()

    k.patched["force_sig_info_to_task"] = force_sig_info_to_task


REACHABLE = (
    VmFault.NONE,
    VmFault.MAJOR | VmFault.NOPAGE,
    VmFault.COMPLETED,
    VmFault.RETRY,
    VmFault.OOM,
    VmFault.SIGBUS,
    VmFault.SIGSEGV,
)


@scenario(
    source=VIRO_XU,
    claims=("27", "Q1"),
    expect={
        **everywhere({"csky": "BUG", "sh": "lock imbalance"}, "holds"),
        **everywhere({}, "holds", GENERIC),
    },
)
def each_result_balances_the_locks(k: Kernel) -> None:
    """Whatever a well-behaved handler returns, each lock is given back once, and nothing is a BUG.

    sh gives mmap_lock back twice for SIGBUS and SIGSEGV. csky has a BUG() for VM_FAULT_SIGSEGV. A
    ``generic_page_fault()`` that does the unlocking itself is right on all of them.
    """
    one_access(k)
    answer(k, *REACHABLE)


@scenario(source=VIRO_XU, claims=("Q1",), expect=everywhere({}, "lock imbalance"))
def success_needs_no_unlock(k: Kernel) -> None:
    """A result without COMPLETED, RETRY and errors leaves the lock to the caller: so it is, still.

    The story pretends that the handler had given the lock back, as it does with COMPLETED.
    """
    one_access(k)
    answer(k, VmFault.NONE)
    answering = k.patched["handle_mm_fault"]

    def handle_mm_fault(vma: VmArea, address: int, flags: FaultFlag) -> VmFault:
        fault = answering(vma, address, flags)
        release_fault_lock(VmFaultInfo(vma, address, flags, Vm.NONE))
        return VmFault(fault)

    k.patched["handle_mm_fault"] = handle_mm_fault


ERROR_FIRST = tuple(a for a in ARCHITECTURES if entry(a).order not in ("SCRUE",))
"""Who looks for errors before it looks for a retry, at least under mmap_lock."""


@scenario(
    source=VIRO_XU,
    claims=("20", "Q2"),
    expect=everywhere(dict.fromkeys(ERROR_FIRST, "lock imbalance"), "holds"),
)
def retry_and_an_error(k: Kernel) -> None:
    """A retry that is also an error: the error is lost, or the lock is given back twice.

    No well-behaved handler returns both. RETRY has dropped the lock; whoever sees the error first
    gives it back once more, whoever sees the retry first forgets the error.
    """
    one_access(k)
    answer(k, *(VmFault.RETRY | bit for bit in (VmFault.OOM, VmFault.SIGBUS, VmFault.SIGSEGV)))


@scenario(
    source=VIRO_XU,
    claims=("Q2",),
    expect=everywhere({"sh": "lock imbalance"}, "holds"),
)
def completed_and_an_error(k: Kernel) -> None:
    """A fault that is completed and also an error: done under mmap_lock, an error under the VMA's.

    Under mmap_lock all look for COMPLETED first but sh. Those that try the lock of the VMA ask
    there only whether to unlock, and then for errors: the locks are right, the answers differ.
    """
    one_access(k)
    answer(k, *(VmFault.COMPLETED | bit for bit in (VmFault.SIGBUS, VmFault.SIGSEGV)))


@scenario(
    source="MADV_GUARD_INSTALL, since 6.13",
    claims=("13", "Q6"),
    expect={
        **everywhere({"csky": "BUG", "sh": "lock imbalance"}, "holds"),
        on("csky", GENERIC): "holds",
        on("sh", GENERIC): "holds",
        "on riscv, without riscv_sigsegv": "BUG",
    },
)
def guard_page(k: Kernel) -> None:
    """An access to a guard page ends in SIGSEGV, or a failed system call.

    It is a VM_FAULT_SIGSEGV that any program can bring about.
    """
    one_access(k, contents="guard page")


@scenario(
    source="UFFDIO_POISON, since 6.6",
    expect={
        **everywhere(dict.fromkeys(NO_POISON, "BUG"), "holds"),
        **everywhere({}, "holds", GENERIC),
        "on riscv, without riscv_hwpoison": "BUG",
        "on s390, without s390_hwpoison": "BUG",
    },
)
def poisoned_page(k: Kernel) -> None:
    """An access to a poisoned page ends in a signal, or a failed system call.

    ``UFFDIO_POISON`` makes such pages without broken memory, wherever there is userfaultfd.
    """
    one_access(k, contents="poisoned page")


MAPERRS = ("x86", "arm", "arm64", "riscv", "powerpc", "s390", "loongarch", "arc", "m68k", "sh")


@scenario(
    source=VIRO_XU,
    claims=("12", "Q3"),
    expect={
        **everywhere(
            {**dict.fromkeys(MAPERRS, "holds"), "csky": "BUG", "sh": "lock imbalance"},
            "assertion failure",
        ),
        "on loongarch, without per_vma_lock": "assertion failure",
        **everywhere({}, "holds", GENERIC),
    },
)
def sigsegv_is_a_bad_area(k: Kernel) -> None:
    """VM_FAULT_SIGSEGV has the code of an address that nothing maps, SEGV_MAPERR.

    On half of the architectures it has SEGV_ACCERR, on parisc it is SIGBUS, and on loongarch it
    depends on the lock that the fault ran under.
    """
    one_access(k)
    answer(k, VmFault.SIGSEGV)
    codes(k, SiCode.SEGV_MAPERR)


SENDS_SIGBUS = ("alpha", "openrisc", "sparc32", "sparc64", "xtensa")


@scenario(
    source=VIRO_XU,
    claims=("17",),
    expect={
        **everywhere(
            {
                **dict.fromkeys(SENDS_SIGBUS, "assertion failure"),
                "sh": "lock imbalance",
                "csky": "BUG",
                "um": "holds",
            },
            "holds",
        ),
        **everywhere({}, "holds", GENERIC),
    },
)
def errors_in_kernel_mode_are_fixed_up(k: Kernel) -> None:
    """Any error of a fault in kernel mode fails the user access, and does nothing else.

    Five architectures send SIGBUS as well, so the system call returns -EFAULT and the process dies.
    """
    page = k.mm().mmap()
    k.patched["pagefault_out_of_memory"] = lambda: None
    answer(k, VmFault.OOM, VmFault.SIGBUS, VmFault.SIGSEGV)
    codes(k)

    @k.thread(process=page)
    def program() -> None:
        assert page.get_user() < 0, "the access did not fail"


@scenario(
    source="arch/nios2/mm/fault.c: flags = FAULT_FLAG_WRITE",
    expect={"": "holds", "on nios2": "SIGBUS", "on mips": "holds"},
)
def write_to_a_page_of_userfaultfd(k: Kernel) -> None:
    """A write fault waits for the monitor.

    On nios2 a write may not retry, so userfaultfd cannot make it wait: it is SIGBUS.
    """
    page, uffd = k.uffd_page()

    @k.thread
    def program() -> None:
        page.store(1)

    k.monitor(uffd)


@scenario(
    source="arch/um/kernel/trap.c: while (!pte_present(*pte))",
    expect=everywhere({"um": "livelock"}, "holds"),
)
def handler_that_maps_nothing(k: Kernel) -> None:
    """A handler that says it is done and has mapped nothing does not keep SIGKILL out.

    The instruction faults again, and on the way back to it the task dies. um asks the handler
    again itself, with mmap_lock held, until the page is there, and looks for no signal.
    """
    page = k.mm().mmap()
    answer(k, VmFault.NONE, maps=False)

    @k.thread(process=page)
    def program() -> None:
        page.load()

    @k.thread
    def killer() -> None:
        k.kill(page, SIGKILL)


@scenario(
    source=VIRO_XU,
    claims=("16", "19"),
    expect={"": "holds", "on arm64": "holds", "without per_vma_lock": "holds"},
)
def faults_of_the_core_keep_the_contract(k: Kernel) -> None:
    """No fault of the core returns RETRY with an error, two errors, or a huge page's size alone.

    Here are all kinds that the model has: holes and files, in and out of memory, pages of
    userfaultfd, guard pages and poisoned ones, small and huge. The lock is always held or dropped
    as the result says. Each fault of the catalogue is watched like these.
    """
    k.let_memory_run_out()
    k.huge_pages(1)
    process = k.mm()
    uffd = k.userfaultfd(process)
    file = k.file(cached=False)
    pages = {
        "hole": process.mmap(),
        "guard page": process.mmap(contents="guard page"),
        "poisoned page": process.mmap(contents="poisoned page"),
        "userfaultfd": process.mmap(uffd=uffd),
        "file": process.mmap(file=file, shared=True),
        "huge page": process.mmap(hugetlb=True),
    }
    k.patched["pagefault_out_of_memory"] = k.exit_group

    @k.thread(process=process, handlers={SIGSEGV: k.exit_group, SIGBUS: k.exit_group})
    def program() -> None:
        page = pages[choose(*pages)]
        match choose("load", "store", "get_user"):
            case "load":
                page.load()
            case "store":
                page.store(1)
            case _:
                page.get_user()

    @k.thread
    def killer() -> None:
        k.kill(process, SIGKILL)
