"""LKML, December 2020: "selftests/vm/userfaultfd: wake after copy failure"."""

from __future__ import annotations

from .claim import Case, Claim

PATCH = "LKML 2020-11-28, Nadav Amit: selftests/vm/userfaultfd: wake after copy failure"
XU = "LKML 2020-12-21, Peter Xu, in reply"
AMIT = "LKML 2020-12-21, Nadav Amit, in reply to Peter Xu"

IGNORING = "without selftest_wake_on_eexist"
WRITERS = (
    "wp-page-copy",
    "writeprotect",
    "numa-scan",
    "numa-fault",
    "migration",
    "reclaim",
    "ksm",
)

CLAIMS = (
    Claim(
        "50",
        "When UFFDIO_COPY fails with -EEXIST, the faulting thread is not woken.",
        PATCH,
        (
            Case("eexist-wakes-nobody", IGNORING, "lost wakeup"),
            Case("wake-after-copy-failure", IGNORING, "lost wakeup"),
        ),
    ),
    Claim(
        "51",
        "What the lockless look in userfaultfd_must_wait() says is not definitive.",
        PATCH,
        (Case("must-wait-is-definitive", "", "assertion failure"),),
    ),
    Claim(
        "52",
        "Since a thread is queued before it reads the page table, it is always notified.",
        XU,
        (
            Case("enqueue-before-read", "", "holds", "one UFFDIO_COPY, nobody else"),
            Case(
                "resolver-acts-on-the-message", "", "holds", "the page is filled upon the message"
            ),
            Case("always-notified", "", "holds", "a PTE that is none for a moment"),
        ),
        always=True,
    ),
    Claim(
        "53",
        "The drawing can happen: filled and unprotected before the thread is queued, then copied.",
        AMIT,
        (
            Case("resolved-before-enqueue", "5.10", "lost wakeup", "5.9 to 5.17"),
            Case(
                "resolved-before-enqueue-on-another-cpu", "5.18", "lost wakeup", "5.18, a third CPU"
            ),
            Case("resolved-before-enqueue", "", "lost wakeup", "6.18, as drawn"),
            Case("zeropage-then-store", "", "lost wakeup", "6.18, with UFFDIO_ZEROPAGE"),
        ),
    ),
    Claim(
        "54",
        "mprotect(2) of another thread, clearing the PTE for a moment, does the same.",
        AMIT,
        (
            Case("writer-mprotect", IGNORING, "lost wakeup", "under the lock of the VMA"),
            Case(
                "writer-mprotect",
                f"without per_vma_lock, {IGNORING}",
                "lost wakeup",
                "under mmap_lock",
            ),
        ),
    ),
    Claim(
        "55",
        "NUMA balancing does the same, as does UFFDIO_WRITEPROTECT.",
        AMIT,
        tuple(
            Case(f"writer-{name}", IGNORING, "lost wakeup")
            for name in ("numa-scan", "numa-fault", "writeprotect")
        ),
    ),
    Claim(
        "56",
        "A monitor that wakes the range when UFFDIO_COPY fails with -EEXIST leaves nobody asleep.",
        PATCH,
        (
            *(Case(f"writer-{name}", "", "holds") for name in WRITERS),
            Case("wake-after-copy-failure", "", "holds"),
            Case("unprotecting-always-wakes", "", "holds", "faults of write-protection"),
        ),
    ),
    Claim(
        "57",
        "The thread's message stays readable, so that a monitor can still act on it.",
        AMIT,
        (Case("message-stays-readable", "", "holds"),),
    ),
    Claim(
        "Q12",
        "Is a thread always woken for which userfaultfd_must_wait() is true?",
        XU,
        (Case("always-notified", "", "holds", "a PTE that is none for a moment"),),
    ),
)
