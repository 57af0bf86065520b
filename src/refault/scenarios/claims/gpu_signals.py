"""LKML, April 2018: "Signal handling in a page fault handler"."""

from __future__ import annotations

from .claim import Case, Claim

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"
WILCOX = "LKML 2018-04-04, Matthew Wilcox, in the same thread"

KILLABLE = "with killable_kernel_faults"
MUTEXES = "with sleep_state_of_mutexes"
POSTED = "with sleep_state"
OLD = "without copy_user_one_try"

CLAIMS = (
    Claim(
        "1",
        "A copy that failed for a fault is tried once more, by its tail.",
        VETTER,
        (
            Case("dead-page-is-touched-once-fsrm", OLD, "assertion failure", "to 6.3"),
            Case(
                "dead-page-is-touched-once-bytes", OLD, "assertion failure", "to 6.3, a short copy"
            ),
            Case("dead-page-is-never-touched-thrice", OLD, "holds", "to 6.3, and only once more"),
            Case("dead-page-is-touched-once-words", "", "assertion failure", "6.18, by words"),
            Case("dead-page-is-touched-once-movsq", "", "assertion failure", "6.18, by rep movsq"),
            Case("dead-page-is-touched-once-fsrm", "", "assertion failure", "6.18, FSRM"),
            Case("dead-page-is-touched-once-erms", "", "assertion failure", "6.18, ERMS, 64 bytes"),
        ),
    ),
    Claim(
        "2",
        "Where the second try fails, too, copy_*_user() says that not all bytes were copied.",
        VETTER,
        (
            Case("copy-ends-at-a-dead-page", OLD, "holds", "to 6.3"),
            Case("copy-ends-at-a-dead-page", "", "holds", "6.18"),
        ),
    ),
    Claim(
        "3",
        "What the program sees is -EFAULT or a short count, as the system call has it.",
        VETTER,
        (Case("what-a-failed-copy-is-told-as", "", "holds"),),
    ),
    Claim(
        "5",
        "The handler refuses to map the page because a signal is pending.",
        VETTER,
        (
            Case("signal-pending-and-nobody-contends", "", "assertion failure", "nobody contends"),
            Case("signal-pending-and-somebody-contends", "", "assertion failure", "somebody does"),
        ),
    ),
    Claim(
        "6",
        "So a signal makes a system call fail with -EFAULT that would have succeeded.",
        VETTER,
        (
            Case("signal-in-a-copy-vmf-error", "", "assertion failure", "a handler says SIGBUS"),
            Case("signal-in-a-copy-i915", "", "assertion failure", "i915"),
            Case("signal-in-a-copy-i915-4-16", "4.16", "assertion failure", "i915 in 2018"),
            Case("signal-in-a-copy-ttm", "", "assertion failure", "TTM"),
            Case("signal-in-a-copy-xe", "", "assertion failure", "xe"),
        ),
    ),
    Claim(
        "7",
        "Only faults of the kernel go wrong; for those of user mode the signal is just taken.",
        VETTER,
        (
            Case("signal-in-a-load-i915", "", "holds", "i915"),
            Case("signal-in-a-load-ttm", "", "holds", "TTM"),
            Case("signal-in-a-load-xe", "", "holds", "xe"),
            Case("signal-in-a-load-vmf-error", "", "holds", "a handler says SIGBUS"),
            Case("signal-in-a-load-i915", "on um", "holds", "um"),
        ),
    ),
    Claim(
        "8",
        "A handler can tell faults of the kernel by FAULT_FLAG_USER.",
        VETTER,
        (
            Case("fault-flag-user-of-reads", "", "holds", "x86, reads"),
            Case("fault-flag-user-of-writes", "", "holds", "x86, writes"),
            Case("fault-flag-user-of-writes", "on arm64", "holds", "arm64, writes"),
            Case("fault-flag-user-of-writes", "on nios2", "holds", "nios2, writes"),
            Case("fault-flag-user-of-reads", "on um", "holds", "um, reads"),
        ),
    ),
    Claim(
        "9",
        "With killable sleeps in faults of the kernel there is no such trouble.",
        VETTER,
        (
            Case("signal-in-a-copy-vmf-error", KILLABLE, "holds", "a signal, SIGBUS"),
            Case(
                "copy-from-a-locked-buffer-i915",
                KILLABLE,
                "deadlock",
                "a signal, NOPAGE: it sleeps",
            ),
            Case("killed-in-a-copy-vmf-error", KILLABLE, "holds", "SIGKILL, SIGBUS"),
            Case("killed-in-a-copy-ttm", KILLABLE, "holds", "SIGKILL, RETRY"),
            Case("killed-in-a-copy-i915", KILLABLE, "holds", "SIGKILL, NOPAGE"),
        ),
    ),
    Claim(
        "10",
        "To change mutex_lock() alone does not help: any sleep must be changed.",
        VETTER,
        (
            Case("copy-from-a-locked-buffer-i915", MUTEXES, "livelock", "a reservation"),
            Case("copy-from-a-locked-buffer-ttm", MUTEXES, "livelock", "TTM's"),
            Case("copy-from-a-locked-buffer-xe", MUTEXES, "livelock", "xe's"),
            Case("copy-from-a-busy-buffer", MUTEXES, "livelock", "the GPU"),
        ),
    ),
    Claim(
        "11",
        "Nothing looks at sleep_state in the sketch as it was posted.",
        VETTER,
        (
            Case("copy-from-a-locked-buffer-i915", POSTED, "livelock", "i915"),
            Case("copy-from-a-locked-buffer-ttm", POSTED, "livelock", "TTM"),
        ),
    ),
    Claim(
        "Q11",
        "Must a fault know that it is one of a signal handler, for sleep_state to be right?",
        WILCOX,
        (
            Case("sleep-state-in-a-signal-handler", POSTED, "assertion failure"),
            Case("sleep-state-in-a-signal-handler", KILLABLE, "assertion failure"),
        ),
    ),
)
