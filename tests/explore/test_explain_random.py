"""Explanations of random small models, against the enumeration of all their states."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, assume, given, settings
from tests.explore.agreement import Known, enumerated
from tests.explore.bruteforce import follow, number, outcome
from tests.explore.language import Model
from tests.explore.machine import State
from tests.explore.strategies import models
from tests.explore.translate import translate

from refault.explore import Trace, check
from refault.explore.engines.exploration import Exploration
from refault.explore.why.explain import explained

patient = settings(deadline=None, suppress_health_check=list(HealthCheck))
fast = settings(patient, max_examples=200, derandomize=True, database=None)
thorough = settings(patient, max_examples=600)


@fast
@given(models())
def test_explanations_of_random_models_are_true(model: Model) -> None:
    assert_true(enumerated(model))


@pytest.mark.slow
@thorough
@given(models(tasks=4))
def test_explanations_of_thousands_of_models_are_true(model: Model) -> None:
    assert_true(enumerated(model))


def assert_true(known: Known) -> None:
    """What the explorer says of its counterexamples is true in the graph of all states."""
    build = translate(known.model)
    verdict = check(build, explain_seconds=0)
    traces = [t for _, t in verdict.findings if t is not None and t.cycle < 0]
    assume(traces)
    for found in traces:
        trace = explained(Exploration(build), found, seconds=60)
        assert not trace.unexplained
        assert_inevitable(known, trace)
        assert_orders(known, trace)


def ends(known: Known, state: State | str) -> set[str | None]:
    """All that a run may come to: kinds of failures, ``None`` for a good end."""
    found: set[str | None] = set()
    seen: set[State] = set()
    todo = [state]
    while todo:
        at = todo.pop()
        if not isinstance(at, State) or not known.graph.steps[at]:
            found.add(outcome(known.graph, at))
        elif at not in seen:
            seen.add(at)
            todo += [after for _, after in known.graph.steps[at]]
    return found


def assert_inevitable(known: Known, trace: Trace) -> None:
    """It is inevitable from there on, and was not a step before."""
    way = follow(known.graph, trace.schedule)
    kind = trace.finding.kind
    assert ends(known, way[trace.inevitable]) == {kind}
    assert trace.inevitable == 0 or ends(known, way[trace.inevitable - 1]) != {kind}


def assert_orders(known: Known, trace: Trace) -> None:
    """Reversed, an order that matters leads away from the finding, and no other does.

    Tried where no third task moves in between, and no lock has to be waited for.
    """
    way = follow(known.graph, trace.schedule)
    for order in trace.orders:
        between = trace.schedule[order.first : order.second]
        alone = [choice for task, choice in between if task == order.tasks[1]]
        if {task for task, _ in between} - set(order.tasks):
            continue
        task = number(order.tasks[1])
        after: State | str | None = way[order.first]
        last = trace.schedule[order.second][1] if order.second < trace.steps else 0
        for choice in [*alone, last]:
            steps = known.graph.machine.steps(after, task) if isinstance(after, State) else ()
            after = dict(steps).get(choice)
        if after is not None:
            assert (trace.finding.kind in ends(known, after)) != order.matters
