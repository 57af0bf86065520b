"""A search that meets a bound says which, and what lifts it; it never says that anything holds."""

from __future__ import annotations

import pytest
from bench import models
from tests.explore.agreement import PLAIN

from refault.explore import Cell, Program, check, restart


def test_too_many_states_are_inconclusive() -> None:
    """Philosophers who cannot deadlock, in less room than they need."""
    verdict = check(models.philosophers(6, 2, swapped=True), **PLAIN, max_states=1_000)
    assert verdict.kind == "inconclusive"
    assert str(verdict) == "inconclusive"
    assert "--max-states" in verdict.reason
    assert "1000" in verdict.reason
    assert verdict.evidence.bounds
    assert not verdict.findings


def test_no_time_is_inconclusive() -> None:
    """Not even a large model gets a verdict out of no time at all."""
    verdict = check(models.philosophers(8, 2, swapped=True), **PLAIN, time=0.05)
    assert verdict.kind == "inconclusive"
    assert "--time" in verdict.reason


def test_no_memory_is_inconclusive() -> None:
    """Sixteen kilobytes do not hold 99 651 states."""
    verdict = check(models.lastzero(8), **PLAIN, max_memory=1 << 14)
    assert verdict.kind == "inconclusive"
    assert "--max-memory" in verdict.reason


def test_what_was_found_before_the_bound_counts() -> None:
    """A deadlock is a deadlock, however little was searched."""
    verdict = check(models.philosophers(6, 2), **PLAIN, max_states=200_000)
    assert verdict.kind == "violated"
    assert verdict.reason
    assert verdict.evidence.bounds


def test_a_bound_that_is_just_enough_is_enough() -> None:
    """As many states as there are, and the verdict stands."""
    assert check(models.lastzero(5), **PLAIN, max_states=1_891).kind == "holds"


def test_a_model_without_end_of_values_is_inconclusive() -> None:
    """A counter that grows for ever meets a bound, not a hang."""

    def counts_up(a: Cell[int]) -> None:
        while True:
            restart()
            a.update(lambda old: (old + 1, None))

    def build(p: Program) -> None:
        p.task("counts", counts_up, p.cell("a", 0))

    for reduce in (False, True):
        verdict = check(build, engine="states", reduce=reduce, max_states=500, time=20)
        assert verdict.kind == "inconclusive", reduce


@pytest.mark.parametrize("claim", ["assert_holds", "assert_finds"])
def test_an_inconclusive_verdict_is_no_answer(claim: str) -> None:
    """It meets no expectation, and says why."""
    verdict = check(models.lastzero(8), **PLAIN, max_states=100)
    with pytest.raises(AssertionError, match="--max-states"):
        getattr(verdict, claim)()
