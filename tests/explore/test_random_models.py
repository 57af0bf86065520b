"""Random small models: every search against the dumb enumeration."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.explore.agreement import FUTURES, PLAIN, REDUCED, TRACES, Known, agree, enumerated
from tests.explore.language import Model
from tests.explore.strategies import models, symmetric_models
from tests.explore.translate import translate

from refault.explore import check

FEW_STATES = 800
"""Few states can have many traces."""

patient = settings(deadline=None, suppress_health_check=list(HealthCheck))
fast = settings(patient, max_examples=200, derandomize=True, database=None)
thorough = settings(patient, max_examples=2_000)


def agree_on_traces(known: Known) -> None:
    """Compare the search of traces too, where it can be made.

    It goes on behind a state that breaks an invariant, where the enumeration ends; if a run is
    endless there, it says so, and what it found is part of what there is.
    """
    if known.forever.endless or len(known.graph.steps) >= FEW_STATES:
        return
    verdict = check(translate(known.model), engine="traces", explain=False)
    if verdict.kind == "violated" and "does not end" in verdict.reason:
        assert set(verdict.kinds) <= set(known.costs)
    else:
        agree(known, TRACES)


@fast
@given(models())
def test_searches_of_states_find_what_there_is(model: Model) -> None:
    """Terminal states, kinds of failures and the shortest way to each are those enumerated."""
    known = enumerated(model)
    agree(known, PLAIN)
    agree(known, REDUCED)
    agree(known, FUTURES)


@fast
@given(models())
def test_the_search_of_traces_finds_what_there_is(model: Model) -> None:
    """The same of models whose runs all end."""
    known = enumerated(model, FEW_STATES)
    assume(not known.forever.endless)
    agree_on_traces(known)


@fast
@given(symmetric_models())
def test_identical_tasks_may_change_places(model: Model) -> None:
    """With states stored up to permutations, and all other reductions, nothing is lost."""
    known = enumerated(model)
    agree(known, REDUCED)
    agree(known, FUTURES)


@pytest.mark.slow
@thorough
@given(symmetric_models(copies=4))
def test_identical_tasks_may_change_places_in_thousands_of_models(model: Model) -> None:
    """Up to four copies of one task."""
    known = enumerated(model)
    agree(known, REDUCED)
    agree(known, FUTURES)


@pytest.mark.slow
@thorough
@given(models())
def test_every_search_finds_what_there_is_in_thousands_of_models(model: Model) -> None:
    """All of it, with new models each time."""
    known = enumerated(model)
    agree(known, PLAIN)
    agree(known, REDUCED)
    agree(known, FUTURES)
    agree_on_traces(known)


@pytest.mark.slow
@thorough
@given(models(tasks=5))
def test_reductions_keep_everything_with_more_tasks(model: Model) -> None:
    """Up to five tasks: more to leave out, and more to lose."""
    known = enumerated(model)
    agree(known, REDUCED)
    agree(known, FUTURES)
    agree_on_traces(known)
