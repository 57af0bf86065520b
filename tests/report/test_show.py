"""The parts of ``refault show``."""

from __future__ import annotations

import msgspec
import pytest
from tests.report.golden import assert_golden

from refault.explore import Program, check
from refault.explore.verdict import Evidence
from refault.report.show import evidence_text, findings, heading, story, verdict_text

EVIDENCE = Evidence(
    engine="states",
    states=120,
    transitions=340,
    terminals=1,
    traces=0,
    seconds=0.01,
    depth=45,
    reduction="lock discipline",
    collision=4.1e-16,
    bounds=(),
    local_states=30,
    table_misses=60,
    restarts=1,
)


def race(program: Program) -> None:
    """Two tasks that each take the lock that the other holds."""
    a, b = program.cell("a", 0), program.cell("b", 0)

    def one() -> None:
        a.write(1)
        b.wait(lambda value: value == 1)

    program.task("one", one)
    program.task("two", a.wait, lambda value: value == 2)


def test_a_scenario_in_full() -> None:
    verdict = check(race)
    parts = [
        heading("abba", "with nothing"),
        story("Two tasks wait for each other.\n\nNobody helps.", "folklore"),
        verdict_text(verdict, ok=False, expected="holds"),
        *findings(verdict, [".refault/abba.json"]),
        evidence_text(EVIDENCE),
    ]
    assert_golden("show", "\n\n".join(parts))


def test_an_unfinished_search_says_so() -> None:
    verdict = check(race, engine="states", max_states=1)
    assert verdict_text(verdict, ok=False, expected="holds").startswith("inconclusive: 1 states")
    bounded = msgspec.structs.replace(EVIDENCE, bounds=("300 s passed: raise --time",))
    assert "search not complete: 300 s passed" in evidence_text(bounded)


@pytest.mark.parametrize(
    ("collision", "bound"), [(4.1e-16, "5e-16"), (1e-12, "1e-12"), (9.5e-8, "1e-7"), (0.0, "1e-18")]
)
def test_a_bound_is_rounded_up(collision: float, bound: str) -> None:
    rounded = msgspec.structs.replace(EVIDENCE, collision=collision)
    assert f"collision below {bound}" in evidence_text(rounded, width=500)


def test_a_story_without_words_or_source_is_nothing() -> None:
    assert story("", "") == ""
    assert story("A claim.", "") == "A claim."
