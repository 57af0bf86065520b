"""The line per check."""

from __future__ import annotations

import msgspec
from tests.report.golden import assert_golden

from refault.report.lines import HEADING, Row, line

ROWS = [
    (Row("resolved-before-enqueue", "", "lost wakeup", "lost wakeup", True, 1234, 5678, 0.01), ""),
    (Row("must-wait", "with must_wait_ptl", "holds", "holds", True, 663012, 1650123, 0.14), ""),
    (Row("mprotect", "", "deadlock", "holds", False, 12, 34, 0.0), ""),
    (
        Row("big", "", "inconclusive", "holds", False, 50000000, 123456789, 7.5),
        "50000000 states stored: raise --max-states",
    ),
    (Row("hidden", "", "error", "holds", False, 0, 0, 0.0), ""),
    (Row("two", "", "deadlock + use after free", "deadlock", False, 7, 9, 300.0), "interrupted"),
]


def test_columns_are_aligned_and_the_unusual_stands_last() -> None:
    assert_golden("lines", "\n".join([HEADING, *(line(row, remark) for row, remark in ROWS)]))


def test_a_usual_line_fits_a_terminal() -> None:
    assert len(line(ROWS[0][0])) <= 80


def test_json_has_exactly_the_documented_keys() -> None:
    assert list(msgspec.to_builtins(ROWS[0][0])) == [
        "scenario",
        "variant",
        "verdict",
        "expected",
        "ok",
        "states",
        "transitions",
        "seconds",
        "switches",
        "steps",
    ]
