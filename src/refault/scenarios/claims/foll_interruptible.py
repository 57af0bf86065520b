"""LKML, June 2022: "kvm/mm: Allow GUP to respond to non fatal signals"."""

from __future__ import annotations

from .claim import Case, Claim

XU = "LKML 2022-06-22, Peter Xu: mm/gup: Add FOLL_INTERRUPTIBLE"

KICKED = "vcpu-kicked-while-the-network-is-down"

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
        "38",
        "With the flag KVM_RUN returns -EINTR for a signal, and the CPU can be run again.",
        XU,
        (Case(KICKED, "", "holds"), Case("vcpu-kicked-and-run-again", "", "holds")),
    ),
)
