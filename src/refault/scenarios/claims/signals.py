"""What was said of signals: LKML 2018, 'Signal handling in a page fault handler', and 2022."""

from __future__ import annotations

from .claim import Case, Claim

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"
WILCOX = "LKML 2022-07-04, Matthew Wilcox, Re: [PATCH 1/4] mm/gup: Add FOLL_INTERRUPTIBLE"

CLAIMS = (
    Claim(
        "4",
        "A system call that failed with -EFAULT since a signal was pending is never restarted.",
        VETTER,
        (Case("efault-is-never-restarted"), Case("restart-table")),
    ),
    Claim(
        "Q9",
        "gup_signal_pending() tells the same as signal_pending_state().",
        WILCOX,
        (
            Case("gup-asks-as-sleepers-do", "", "holds", "with TIF_NOTIFY_SIGNAL"),
            Case("gup-asks-as-sleepers-do", "without signal_notify", "holds", "before it"),
        ),
    ),
)
