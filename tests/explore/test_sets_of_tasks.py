"""Sets of tasks that are explored without the others: nobody is left out for ever."""

from __future__ import annotations

import pytest
from bench import models
from hypothesis import given
from tests.explore.agreement import FUTURES, PLAIN, REDUCED, agree, enumerated
from tests.explore.language import Cas, Fail, Model, Read, Retry, Task
from tests.explore.strategies import models as random_models
from tests.explore.strategies import symmetric_models
from tests.explore.test_random_models import fast
from tests.explore.translate import translate

from refault.explore import check
from refault.explore.engines import _core
from refault.explore.engines.exploration import Exploration, Options
from refault.explore.engines.states import StateSearch
from refault.explore.verdict import Limits

BYSTANDER = Task((Read(1), Fail(0)))
"""Fails at once, wherever it is let; it has nothing to do with the others."""

ROUND = Model(
    (0, 0, 0),
    0,
    0,
    (Task((Retry(2, (Cas(0, 0, 1),)),)), Task((Retry(2, (Cas(0, 1, 0),)),)), BYSTANDER),
)
"""Two tasks fight for a cell for ever: they could be explored without the third, for ever."""

HOME = Model(
    (0, 0, 0),
    0,
    0,
    (
        Task((Retry(2, (Cas(0, 0, 1), Read(1))),)),
        Task((Retry(2, (Cas(0, 1, 0), Read(1))),)),
        BYSTANDER,
    ),
)
"""The same, but the step that comes back to the beginning is one that each may take alone."""


@pytest.mark.parametrize("model", [ROUND, HOME])
def test_nobody_is_left_out_on_a_cycle(model: Model) -> None:
    known = enumerated(model)
    assert known.costs == {"use after free": (0, 1)}
    for search in (PLAIN, REDUCED, FUTURES):
        agree(known, search)


def test_quarrels_at_two_ends_of_a_table_are_not_combined() -> None:
    """Eight philosophers: a fork is between two of them."""
    alone = check(models.philosophers(8, 1), **REDUCED)
    several = check(models.philosophers(8, 1), **FUTURES)
    assert several.kinds == alone.kinds == ("deadlock",)
    assert several.evidence.states < alone.evidence.states / 4


def test_a_count_does_not_run_to_its_limit() -> None:
    """Reference counts commute where they can be, though not at every number that there is."""

    def searched(reduce: dict[str, object]) -> int:
        return check(models.references(4), **reduce).evidence.states  # type: ignore[arg-type]

    assert searched(FUTURES) < searched(REDUCED) / 5


def begun_and_strengthened(model: Model, states: int) -> None:
    """Search with futures that were taken when the tables knew little."""
    exploration = Exploration(translate(model))
    search = StateSearch(exploration, Limits(max_states=states), Options(True, keep_final=True))
    if search.run(20) == _core.LIMIT_STATES:
        search._limits = Limits()
        search.strengthen()
        assert search.run(20) == _core.COMPLETE
    outcome = search.outcome(_core.COMPLETE)
    known = enumerated(model)
    assert set(outcome.counts) == set(known.truth.costs)
    assert outcome.final == known.truth.terminals


@fast
@given(random_models(), symmetric_models())
def test_futures_taken_early_are_worth_as_much(one: Model, other: Model) -> None:
    for model in (one, other):
        enumerated(model)
        begun_and_strengthened(model, 5)
