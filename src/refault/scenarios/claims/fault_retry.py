"""LKML, January and February 2023: "VM_FAULT_RETRY fixes", and one handler for all."""

from __future__ import annotations

from refault.linux.arch import ARCHITECTURES
from refault.patches.arch_fault import TEN
from refault.scenarios.arch_kernel_mode import on

from .claim import Case, Claim

VIRO = "LKML 2023-01-31, Al Viro: [RFC][PATCHSET] VM_FAULT_RETRY fixes"
AL = "LKML 2023-02-01, Al Viro, in reply to Peter Xu"
XU = "LKML 2023-02-01, Peter Xu, in reply to Al Viro"
LIVELOCK = "without viro_retry_kernel_fixup"
ALL = ARCHITECTURES


def _on(scenario: str, arches: tuple[str, ...], supports: str, *changes: str) -> tuple[Case, ...]:
    return tuple(Case(scenario, on(arch, *changes), supports, arch) for arch in arches)


CLAIMS = (
    Claim(
        "12",
        "VM_FAULT_SIGSEGV is SEGV_MAPERR on some architectures and SEGV_ACCERR on others.",
        AL,
        (
            *_on("sigsegv-is-a-bad-area", ("x86", "arm64", "m68k"), "holds"),
            *_on("sigsegv-is-a-bad-area", ("alpha", "mips", "xtensa"), "assertion failure"),
            Case(
                "sigsegv-is-a-bad-area",
                "on loongarch, without per_vma_lock",
                "assertion failure",
                "loongarch under mmap_lock, MAPERR under the lock of the VMA",
            ),
        ),
    ),
    Claim(
        "13",
        "csky would oops on VM_FAULT_SIGSEGV, which hardly anything returns.",
        AL,
        (Case("guard-page", "on csky", "BUG", "a guard page, since 6.13"),),
    ),
    Claim(
        "14",
        "arm's check for FIRST_USER_ADDRESS has no counterpart, and is a bad area like any other.",
        f"{AL}; {XU}",
        (
            Case("stack-below-the-first-user-address", "on arm, without stackrot", "holds", "6.4"),
            Case("stack-below-the-first-user-address", "on arm", "holds", "6.18"),
            Case(
                "stack-below-the-first-user-address",
                "without stackrot",
                "assertion failure",
                "x86 has no such check",
            ),
        ),
    ),
    Claim(
        "15",
        "The private results of arm and arm64 make a surprise of poison in a huge page.",
        XU,
        (
            Case(
                "poisoned-huge-page",
                "on arm, without arm_private_retvals",
                "assertion failure",
                "arm: SIGSEGV, though not for that reason",
            ),
            Case(
                "poisoned-huge-page",
                "on arm64, without arm_private_retvals",
                "assertion failure",
                "arm64: SIGBUS as it should be",
            ),
        ),
    ),
    Claim(
        "16",
        "VM_FAULT_HINDEX_MASK is only used with VM_FAULT_HWPOISON_LARGE.",
        XU,
        (Case("faults-of-the-core-keep-the-contract"),),
    ),
    Claim(
        "17",
        "All errors in kernel mode go to no_context.",
        AL,
        _on("errors-in-kernel-mode-are-fixed-up", ALL, "holds"),
    ),
    Claim(
        "18",
        "The signals that x86 passes to kernelmode_fixup_or_oops() matter for vsyscalls only.",
        XU,
        (
            Case(
                "vsyscall-with-a-bad-pointer",
                "without vsyscall_signals",
                "SIGBUS + SIGSEGV",
                "to 6.8: they reach the program",
            ),
            Case("errors-in-kernel-mode-are-fixed-up", "", "holds", "system calls: they do not"),
        ),
    ),
    Claim(
        "19",
        "VM_FAULT_RETRY is never mixed with an error.",
        XU,
        (
            Case("faults-of-the-core-keep-the-contract", "", "holds", "the lock of the VMA first"),
            Case(
                "faults-of-the-core-keep-the-contract",
                "without per_vma_lock",
                "holds",
                "under mmap_lock",
            ),
        ),
    ),
    Claim(
        "20",
        "If RETRY came with an error, that would be a bug of a potential deadlock.",
        XU,
        (
            *_on("retry-and-an-error", ("alpha", "mips", "sparc64"), "lock imbalance"),
            *_on("retry-and-an-error", ("x86", "arm64", "riscv"), "lock imbalance"),
        ),
    ),
    Claim(
        "21",
        "Where the details of a fault are kept for ptrace varies; no chance to unify that.",
        AL,
        (Case("fault-details-have-one-place", "", "assertion failure"),),
    ),
    Claim(
        "22",
        "A read fault is fine without VM_READ if there is VM_WRITE, on alpha explicitly.",
        AL,
        _on("read-of-write-only-memory", ("alpha",), "holds"),
    ),
    Claim(
        "23",
        "It is enough to pass a mask that must have a non-empty intersection with vm_flags.",
        AL,
        _on("one-of-some-flags-is-enough", ALL, "holds"),
        always=True,
    ),
    Claim(
        "24",
        "x86 and arm try the lock and search the exception table; others do not.",
        AL,
        (
            *_on("kernel-bug-under-mmap-lock", ("x86", "arm"), "oops", "without stackrot"),
            *_on(
                "kernel-bug-under-mmap-lock",
                ("arm64", "powerpc", "microblaze", "nios2", "sparc64", "alpha", "mips"),
                "deadlock",
                "without stackrot",
            ),
        ),
        always=True,
    ),
    Claim(
        "25",
        "The prefetch of mmap_lock in ia64's handler is a matter of speed only.",
        AL,
        (
            Case("prefetch-of-the-lock", "on ia64", "holds"),
            Case("prefetch-of-the-lock", "on ia64, with no_prefetch", "holds"),
        ),
    ),
    Claim(
        "26",
        "m68k does not grow a stack more than 256 bytes below usp, and others do similar things.",
        AL,
        (
            *_on("write-far-below-the-stack-pointer", ("m68k", "openrisc"), "SIGSEGV"),
            *_on("write-far-below-the-stack-pointer", ("x86", "alpha"), "holds"),
        ),
    ),
    Claim(
        "27",
        "A common helper can give mmap_lock back itself, on every architecture.",
        AL,
        _on("each-result-balances-the-locks", ALL, "holds", "with generic_page_fault"),
    ),
    Claim(
        "28",
        "On ten architectures a task killed in a user access loops in the kernel for ever.",
        VIRO,
        (
            *_on("killed-in-a-user-access", TEN, "livelock", LIVELOCK),
            *_on("killed-in-a-user-access", ("x86", "arm64", "mips", "csky"), "holds", LIVELOCK),
            *_on("killed-in-a-user-access", TEN, "holds"),
        ),
    ),
    Claim(
        "Q1",
        "Does handle_mm_fault() still return none of COMPLETED, RETRY and an error, and need it?",
        AL,
        (
            *_on("success-needs-no-unlock", ("x86", "alpha", "um"), "lock imbalance"),
            Case("each-result-balances-the-locks", "", "holds"),
        ),
    ),
    Claim(
        "Q2",
        "Can RETRY come with an error, and be handled with the locks right?",
        AL,
        _on("retry-and-an-error", ALL, "holds"),
    ),
    Claim(
        "Q3",
        "Can VM_FAULT_SIGSEGV be merged into PF_RET_BAD_AREA without a change?",
        XU,
        _on("sigsegv-is-a-bad-area", ALL, "holds"),
    ),
    Claim(
        "Q4",
        "Can all architectures use one helper with parameters, without a change?",
        XU,
        _on("generic-page-fault-changes-nothing", ALL, "holds"),
    ),
    Claim(
        "Q5",
        "Do the different signals for kernelmode_fixup_or_oops() make a difference?",
        XU,
        (
            Case(
                "vsyscall-with-a-bad-pointer",
                "without vsyscall_signals",
                "SIGBUS + SIGSEGV",
                "to 6.8",
            ),
            Case("vsyscall-with-a-bad-pointer", "", "SIGBUS + SIGSEGV", "6.18"),
        ),
    ),
    Claim(
        "Q6",
        "Can a program bring about a VM_FAULT_SIGSEGV?",
        AL,
        (Case("guard-page", "on csky", "BUG", "by MADV_GUARD_INSTALL"),),
    ),
)
