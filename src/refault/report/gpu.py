"""Tables of what comes of faults on memory of GPUs when signals come, computed case by case."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from refault.patches import canonical
from refault.scenarios.gpu_outcomes import Case, Contention, Mode, Sent, outcomes

Row = tuple[str, ...]

TODAY = ("i915", "TTM", "xe", "always RETRY", "vmf_error()")
"""The drivers of today, and two for what these do not do: RETRY to the end, and SIGBUS."""

REPAIRS = (
    (),
    ("sleep_state",),
    ("sleep_state_of_mutexes",),
    ("i915_drop_and_retry",),
    ("killable_kernel_faults",),
    ("fault_blocks_signals",),
    ("fatal_ends_fault", "killable_kernel_faults"),
    ("fatal_ends_fault", "fault_blocks_signals"),
)
"""What was proposed, alone and together."""

ASKED = (
    ("i915", Mode.KERNEL, Sent.HANDLER, Contention.SOME_TIME),
    ("i915", Mode.KERNEL, Sent.FATAL, Contention.UNTIL_BACK),
    ("TTM", Mode.KERNEL, Sent.HANDLER, Contention.SOME_TIME),
    ("TTM", Mode.KERNEL, Sent.FATAL, Contention.UNTIL_BACK),
    ("vmf_error()", Mode.KERNEL, Sent.HANDLER, Contention.SOME_TIME),
    ("vmf_error()", Mode.KERNEL, Sent.STOP, Contention.SOME_TIME),
    ("i915", Mode.USER, Sent.HANDLER, Contention.UNTIL_BACK),
)
"""The circumstances in which the proposals are compared."""


def _cell(case: Case, variant: str = "") -> str:
    return ", ".join(outcomes(case, variant))


THEN = ("i915 of 4.16", "TTM of 4.16")
"""Drivers as they were when the question was asked."""


def by_driver(
    contention: Contention, drivers: Sequence[str] = TODAY, variant: str = ""
) -> list[Row]:
    """What comes of an access to a contended buffer: who touches it, what is sent, each driver."""
    return [
        ("the access", "what is sent", *drivers),
        *(
            (
                mode.value,
                sent.value,
                *(_cell(Case(d, mode, sent, contention), variant) for d in drivers),
            )
            for mode in Mode
            for sent in Sent
        ),
    ]


def by_repair() -> list[Row]:
    """What comes of the same, with each proposal."""
    return [("with", *map(_head, ASKED)), *(_repaired(names) for names in REPAIRS)]


def _head(asked: tuple[str, Mode, Sent, Contention]) -> str:
    driver, mode, sent, contention = asked
    held = "for a time" if contention is Contention.SOME_TIME else "until it is back"
    return f"{driver}, {mode.value}, {sent.value}, {held}"


def _repaired(names: Iterable[str]) -> Row:
    variant = canonical(", ".join(f"with {name}" for name in names))
    what = " and ".join(f"`{name}`" for name in names) or "nothing"
    return (what, *(_cell(Case(*asked), variant) for asked in ASKED))
