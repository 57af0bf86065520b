"""The line per scenario and variant that people and ``grep`` read, and its JSON form.

    verdict       expectation       states  transitions  seconds  scenario
    lost wakeup   as expected         1234         5678     0.01  resolved-before-enqueue
    holds         as expected         2345         6789     0.02  resolved-before-enqueue with ...

The columns have fixed widths, so that lines can be printed as they come; the name, which may be
long, stands last, and behind it only what is out of the ordinary.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

HEADING = "verdict       expectation       states  transitions  seconds  scenario"

Expected = str | tuple[str, ...] | None


class Row(Struct, frozen=True):
    """The outcome of one check, as ``refault check --json`` gives it.

    ``expected`` and ``ok`` are null where the scenario does not say what it expects; ``switches``
    and ``steps`` are those of the shown counterexample, null where there is none.
    """

    scenario: str
    variant: str
    verdict: str
    expected: str | None
    ok: bool | None
    states: int
    transitions: int
    seconds: float
    switches: int | None = None
    steps: int | None = None


def expectation(expected: Expected) -> str | None:
    """Write an expectation as verdicts are written: kinds in alphabetic order, joined."""
    if expected is None or isinstance(expected, str):
        return expected
    return " + ".join(sorted(set(expected)))


def met(verdict: str, kinds: Sequence[str], expected: Expected) -> bool | None:
    """Tell whether a verdict is the expected one: the same *set* of kinds, or ``holds``."""
    if expected is None:
        return None
    if verdict == "inconclusive":
        return False
    wanted = {expected} if isinstance(expected, str) else set(expected)
    return wanted == (set(kinds) or {"holds"})


def name(scenario: str, variant: str) -> str:
    """Name a check: ``eexist-hang``, ``eexist-hang without selftest_wake_on_eexist``."""
    return f"{scenario} {variant}" if variant else scenario


def line(row: Row, remark: str = "") -> str:
    """Return the line of one check; ``remark`` says why it is not conclusive."""
    tail = "; ".join(filter(None, (_objection(row), remark)))
    text = (
        f"{row.verdict:<12}  {_agreement(row):<15}  {row.states:>7}  {row.transitions:>11}"
        f"  {row.seconds:>7.2f}  {name(row.scenario, row.variant)}"
    )
    return f"{text}  ({tail})" if tail else text


def _agreement(row: Row) -> str:
    if row.verdict == "inconclusive":
        return "undecided"
    return {None: "unspecified", True: "as expected", False: "NOT as expected"}[row.ok]


def _objection(row: Row) -> str:
    return f"expected {row.expected}" if row.ok is False and row.expected else ""
