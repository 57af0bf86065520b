"""The line per scenario and variant that people and ``grep`` read, and its JSON form.

    verdict                       states transitions   time  scenario
    lost wakeup, as expected        1234        5678   0.01  resolved-before-enqueue
    holds, NOT as expected          2345        6789   0.02  resolved-before-enqueue with ... (...)

The columns have fixed widths, so that lines can be printed as they come; the name, which may be
long, stands last, and behind it only what is out of the ordinary.
"""

from __future__ import annotations

from msgspec import Struct

HEADING = "verdict                       states transitions   time  scenario"


class Row(Struct, frozen=True):
    """The outcome of one check, as ``refault check --json`` gives it.

    ``switches`` and ``steps`` are those of the counterexample with the fewest, null where there is
    none. ``expected`` is empty where nothing is expected of the variant: then ``ok`` is whether it
    holds. A scenario that cannot be checked has the verdict ``error``.
    """

    scenario: str
    variant: str
    verdict: str
    expected: str
    ok: bool
    states: int
    transitions: int
    seconds: float
    switches: int | None = None
    steps: int | None = None


def name(scenario: str, variant: str) -> str:
    """Name a check: ``eexist-hang``, ``eexist-hang without selftest_wake_on_eexist``."""
    return f"{scenario} {variant}" if variant else scenario


def line(row: Row, remark: str = "") -> str:
    """Return the line of one check; ``remark`` says why the search is not complete."""
    objection = "" if row.ok or not row.expected else f"expected {row.expected}"
    text = (
        f"{_verdict(row):<27} {row.states:>8} {row.transitions:>11} {row.seconds:>6.2f}"
        f"  {name(row.scenario, row.variant)}"
    )
    tail = "; ".join(filter(None, (objection, remark)))
    return f"{text}  ({tail})" if tail else text


def _verdict(row: Row) -> str:
    if row.verdict in ("inconclusive", "error") or not row.expected:
        return row.verdict
    return f"{row.verdict}, {'as expected' if row.ok else 'NOT as expected'}"
