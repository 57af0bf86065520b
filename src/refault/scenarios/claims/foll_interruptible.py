"""LKML, June 2022: "kvm/mm: Allow GUP to respond to non fatal signals"."""

from __future__ import annotations

from .claim import Case, Claim

XU = "LKML 2022-06-22, Peter Xu: mm/gup: Add FOLL_INTERRUPTIBLE"

REPLY = "LKML 2022-06-25, Peter Xu, in reply to Jason Gunthorpe"
XU_27 = "LKML 2022-06-27, Peter Xu, in reply to Jason Gunthorpe"
XU_28 = "LKML 2022-06-28, Peter Xu, in reply to John Hubbard"
XU_29 = "LKML 2022-06-29, Peter Xu, in reply to John Hubbard"
HUBBARD = "LKML 2022-06-28, John Hubbard, in reply"
GUNTHORPE = "LKML 2022-06-25, Jason Gunthorpe, in reply"

KICKED = "vcpu-kicked-while-the-network-is-down"
SWAP, FILE = "interruptible-gup-waits-for-swap", "interruptible-gup-waits-for-file"
ALONE = "with interruptible_without_killable"
EVERYONE = "with gup_always_interruptible"
UNUSED = "without kvm_sigpending_pfn"

CLAIMS = (
    Claim(
        "29",
        "A GUP that waits in userfaultfd hears of no signal but SIGKILL, unless it asks to.",
        XU,
        (
            Case("debugger-reads-while-the-network-is-down", "", "unserved fault", "6.18"),
            Case(KICKED, "6.1", "unserved fault", "KVM before the flag"),
            Case("vcpu-killed-while-the-network-is-down", "", "holds", "SIGKILL"),
        ),
    ),
    Claim(
        "30",
        "FAULT_FLAG_INTERRUPTIBLE makes a difference in userfaultfd only.",
        REPLY,
        (
            Case("interruptible-gup-waits-for-userfaultfd", "", "holds", "it ends that wait"),
            Case(SWAP, "", "deadlock", "and not that for a page from swap"),
            Case(FILE, "", "deadlock", "nor that for a page of a file"),
        ),
    ),
    Claim(
        "31",
        "A fault that hangs in lock_page() does so uninterruptibly always.",
        REPLY,
        (
            Case(SWAP, "", "deadlock", "a signal that is not fatal, swap"),
            Case(FILE, "", "deadlock", "a signal that is not fatal, a file"),
            Case("killed-gup-waits-for-swap", "", "deadlock", "SIGKILL, swap"),
            Case("killed-gup-waits-for-file", "", "deadlock", "SIGKILL, a file"),
            Case("killed-debugger-waits-for-swap", "", "deadlock", "SIGKILL, without KILLABLE"),
        ),
    ),
    Claim(
        "32",
        "A caller that sets the flag must handle fewer pages than it asked for, and -EINTR.",
        REPLY,
        (Case("interrupted-gup-gives-less", "", "-EINTR + short count"),),
    ),
    Claim(
        "33",
        "KILLABLE relies on ALLOW_RETRY, for without retry a fault never waits.",
        XU_29,
        (
            Case("killable-comes-with-retry", "", "holds", "the flags"),
            Case("debugger-does-not-wait-for-userfaultfd", "", "holds", "userfaultfd"),
            Case("killed-debugger-waits-for-swap", "", "holds", "a page from swap"),
        ),
        always=True,
    ),
    Claim(
        "34",
        "That locked is not NULL says that the fault may be retried and wait.",
        XU_29,
        (
            Case("who-gives-locked-may-wait", "6.2", "holds", "what callers give, to 6.2"),
            Case("who-gives-locked-may-wait", "", "holds", "what callers give"),
            Case("locked-says-that-it-may-wait", "6.2", "holds", "within GUP, to 6.2"),
            Case("locked-says-that-it-may-wait", "", "holds", "within GUP, since FOLL_UNLOCKABLE"),
        ),
    ),
    Claim(
        "35",
        "NOWAIT allows a retry and never drops mmap_lock.",
        XU_29,
        (
            Case("nowait-keeps-the-lock", "", "holds", "userfaultfd, swap, nothing to wait for"),
            Case("nowait-keeps-the-lock-for-a-file", "", "holds", "a page of a file"),
        ),
    ),
    Claim(
        "36",
        "INTERRUPTIBLE need not depend upon KILLABLE: it happens to come with the same condition.",
        "LKML 2022-06-30, John Hubbard, in reply to Peter Xu",
        (
            Case("interruptible-comes-with-killable", "", "holds", "it does"),
            Case("interruptible-gup-waits-for-userfaultfd", ALONE, "holds", "apart, userfaultfd"),
            Case("killed-gup-waits-for-swap", ALONE, "holds", "apart, SIGKILL, a page from swap"),
        ),
    ),
    Claim(
        "37",
        "The patch alone changes nothing, as long as nobody sets the flag.",
        XU_28,
        (
            Case("without-the-flag-only-sigkill-counts", "", "holds"),
            Case(KICKED, UNUSED, "unserved fault", "KVM before it set the flag"),
            Case(KICKED, f"without gup_interruptible, {UNUSED}", "unserved fault", "and before it"),
        ),
    ),
    Claim(
        "38",
        "With the flag KVM_RUN returns -EINTR for a signal, and the CPU can be run again.",
        XU,
        (
            Case(KICKED),
            Case("vcpu-kicked-and-run-again"),
            Case("vm-stop-before-the-network-is-repaired", "", "holds", "vm_stop, by SIGUSR1"),
            Case("ctrl-c-while-the-network-is-down", "", "holds", "Ctrl-C, by SIGINT"),
            Case("debugger-traps-while-the-network-is-down", "", "holds", "gdb, by SIGTRAP"),
            Case("attached-while-the-network-is-down", "", "holds", "gdb, when it attaches"),
        ),
    ),
    Claim(
        "39",
        "The only fault that comes by lock_page_or_retry() is that of do_swap_page().",
        XU_27,
        (
            Case("swap-in-locks-or-retries", "", "folio_lock_or_retry()", "it does"),
            Case("no-other-fault-locks-or-retries", "", "holds", "no other but device memory"),
            Case("no-other-wait-locks-or-retries", "", "holds", "and none that waits"),
        ),
    ),
    Claim(
        "40",
        "Without the look at signals before it tries again GUP can loop for ever.",
        XU,
        (
            Case(
                "interrupted-gup-comes-to-an-end",
                "with gup_retry_unchecked",
                "livelock",
                "a signal that is not fatal",
            ),
            Case(
                "killed-gup-comes-to-an-end",
                "with gup_retry_unchecked",
                "livelock",
                "SIGKILL: there is another look",
            ),
        ),
    ),
    Claim(
        "Q7",
        "May any caller of GUP in a system call set the flag?",
        GUNTHORPE,
        (
            Case("kvm-says-eintr", "", "holds", "KVM_RUN"),
            Case("direct-io-says-eintr", EVERYONE, "holds", "direct I/O"),
            Case("vmsplice-says-eintr", EVERYONE, "holds", "vmsplice(2)"),
            Case("process-vm-readv-says-eintr", EVERYONE, "holds", "process_vm_readv(2)"),
            Case("populate-says-eintr", f"6.8, {EVERYONE}", "holds", "MADV_POPULATE_WRITE"),
            Case("populate-says-eintr", EVERYONE, "holds", "the same, since 6.9"),
        ),
    ),
    Claim(
        "Q8",
        "Can a signal that is not fatal abort a swap-in, with the flag?",
        GUNTHORPE,
        (Case(SWAP, "", "holds"),),
    ),
    Claim(
        "Q10",
        "Does it break programs that signals which they handle end GUP early?",
        HUBBARD,
        (
            Case("handled-signal-meets-direct-io", "", "wrong result", "a caller without the flag"),
            Case("vcpu-kicked-and-run-again", "", "wrong exit", "KVM, which is prepared for it"),
            Case(
                "handled-signal-meets-direct-io",
                EVERYONE,
                "wrong result",
                "if a caller set it that is not",
            ),
        ),
    ),
)
