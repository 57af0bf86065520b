"""What it means that the explorer and the enumeration agree on a model."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

from hypothesis import assume
from tests.explore.bruteforce import (
    Cost,
    Graph,
    TooBigError,
    Truth,
    follow,
    number,
    outcome,
    truth_of,
    write_out,
)
from tests.explore.forever import Forever, runs_for_ever
from tests.explore.language import Model
from tests.explore.machine import State
from tests.explore.translate import translate

from refault.explore import Trace, check

PLAIN: dict[str, Any] = {"engine": "states", "reduce": False}
REDUCED: dict[str, Any] = {"engine": "states", "reduce": True}
FUTURES: dict[str, Any] = {"engine": "states", "reduce": "futures"}
TRACES: dict[str, Any] = {"engine": "traces"}


class Known(NamedTuple):
    """A model and all that the enumeration knows of it."""

    graph: Graph
    truth: Truth
    forever: Forever

    @property
    def model(self) -> Model:
        """The model itself."""
        return self.graph.machine.model

    @property
    def costs(self) -> dict[str, Cost]:
        """Kinds of failures, each with the fewest (switches, steps) to it."""
        return {**self.truth.costs, **self.forever.costs}


def enumerated(model: Model, states: int = 4_000) -> Known:
    """Enumerate a model that Hypothesis drew, or ask for a smaller one."""
    try:
        graph = write_out(model, states)
    except TooBigError:
        assume(False)
        raise
    truth = truth_of(graph)
    return Known(graph, truth, runs_for_ever(graph, truth))


def agree(known: Known, search: dict[str, Any]) -> None:
    """Assert that a search of the explorer finds just what is true of the model."""
    verdict = check(translate(known.model), keep_terminals=True, time=20, **search)
    assert set(verdict.kinds) == set(known.costs)
    assert verdict.kind == ("violated" if known.costs else "holds")
    assert verdict.terminals == known.truth.terminals
    lengths = []
    for finding, trace in verdict.findings:
        assert trace is not None
        assert trace.finding.kind == finding.kind
        assert trace.minimal
        (agree_on_end if trace.cycle < 0 else agree_on_cycle)(known, trace)
        lengths.append((trace.switches, trace.steps))
    assert lengths == sorted(lengths)


def agree_on_end(known: Known, trace: Trace) -> None:
    """Assert that a counterexample is real and as short as any can be."""
    assert (trace.switches, trace.steps) == known.truth.costs[trace.finding.kind]
    assert outcome(known.graph, follow(known.graph, trace.schedule)[-1]) == trace.finding.kind


def agree_on_cycle(known: Known, trace: Trace) -> None:
    """Assert that a cycle comes back to where it began, is fair, and the way in is a short one.

    Not the shortest: the explorer tells states apart by what a task remembers, and so may have to
    go half a round further until it is where the cycle comes back to.
    """
    circle = follow(known.graph, trace.schedule)[trace.cycle :]
    assert len(circle) > 1
    assert circle[0] == circle[-1]
    movers = {number(task) for task, _ in trace.schedule[trace.cycle :]}
    for state in circle:
        assert isinstance(state, State)
        assert {task for task, _ in known.graph.steps[state]} <= movers
    stem = [task for task, _ in trace.schedule[: trace.cycle]]
    switches = sum(a != b for a, b in pairwise(stem))
    assert (switches, len(stem)) >= known.forever.costs[trace.finding.kind]
