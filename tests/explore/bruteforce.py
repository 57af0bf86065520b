"""An independent, dumb enumeration of small models: what the explorer is measured by.

Every reachable state is visited and kept, with its steps. There are no tables, no folding and no
reduction here, so there is little that can be wrong.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from tests.explore.language import Model
from tests.explore.machine import DEADLOCK, INVARIANT, BrokenError, Machine, State

Values = tuple[tuple[str, Any], ...]
Terminal = tuple[Values, frozenset[str]]
Steps = list[tuple[int, State | str]]
"""(task, next state or kind of failure)"""
Cost = tuple[int, int]
"""(context switches, steps)"""


class TooBigError(Exception):
    """The model has more states than the enumeration is willing to visit."""


class Graph(NamedTuple):
    """All states of a model with their steps; ``first`` is a kind of failure if it failed at once.

    A state that breaks the invariant is an end.
    """

    machine: Machine
    first: State | str
    steps: dict[State, Steps]


class Truth(NamedTuple):
    """Terminal states, and the kinds of failures, each with the cheapest way to it."""

    terminals: frozenset[Terminal]
    costs: dict[str, Cost]


def write_out(model: Model, limit: int = 20_000) -> Graph:
    """Visit every state."""
    machine = Machine(model)
    try:
        first = machine.initial()
    except BrokenError as broken:
        return Graph(machine, str(broken), {})
    steps: dict[State, Steps] = {}
    todo = [first]
    while todo:
        state = todo.pop()
        if state in steps:
            continue
        if len(steps) == limit:
            raise TooBigError
        steps[state] = [] if machine.breaks_invariant(state) else successors(machine, state)
        todo += [after for _, after in steps[state] if isinstance(after, State)]
    return Graph(machine, first, steps)


def successors(machine: Machine, state: State) -> Steps:
    """All steps of all tasks."""
    tasks = range(len(machine.model.tasks))
    return [(t, after) for t in tasks for _, after in machine.steps(state, t)]


def judge(machine: Machine, state: State, *, stuck: bool) -> str | None:
    """Tell what is wrong with a state, if anything."""
    if machine.breaks_invariant(state):
        return INVARIANT
    left = [t for i, t in enumerate(machine.model.tasks) if not machine.done(state, i)]
    return DEADLOCK if stuck and not all(t.daemon for t in left) else None


def terminal(machine: Machine, state: State) -> Terminal:
    """Describe a terminal state by names: what all cells hold, which tasks are done."""
    values: dict[str, Any] = {f"c{i}": v for i, v in enumerate(state.cells)}
    for i, owner in enumerate(state.mutexes):
        values[f"m{i}"] = None if owner < 0 else f"t{owner}"
    for i, (mode, holders) in enumerate(state.rwlocks):
        values[f"rw{i}"] = (mode, tuple(f"t{h}" for h in holders))
    tasks = range(len(machine.model.tasks))
    done = frozenset(f"t{t}" for t in tasks if machine.done(state, t))
    return tuple(sorted(values.items())), done


def truth_of(graph: Graph) -> Truth:
    """What happens at the ends of runs, and on the way."""
    machine = graph.machine
    ends = (s for s, steps in graph.steps.items() if not steps and not machine.breaks_invariant(s))

    def wrong(state: State) -> str | None:
        return judge(machine, state, stuck=not graph.steps[state])

    return Truth(frozenset(terminal(machine, s) for s in ends), cheapest(graph, wrong))


def cheapest(graph: Graph, wrong: Callable[[State], str | None]) -> dict[str, Cost]:
    """Dijkstra over (state, who ran last): fewest context switches, then fewest steps, by kind."""
    found: dict[str, Cost] = {}
    settled: set[tuple[State, int]] = set()
    pushed = 0
    queue: list[tuple[Cost, int, State | str, int]] = [((0, 0), 0, graph.first, -1)]
    while queue:
        cost, _, state, last = heapq.heappop(queue)
        if isinstance(state, str):
            found.setdefault(state, cost)
            continue
        if (state, last) in settled:
            continue
        settled.add((state, last))
        kind = wrong(state)
        if kind is not None:
            found.setdefault(kind, cost)
        for task, after in graph.steps[state]:
            pushed += 1
            dearer = (cost[0] + (last >= 0 and task != last), cost[1] + 1)
            heapq.heappush(queue, (dearer, pushed, after, task))
    return found


def follow(graph: Graph, schedule: Iterable[tuple[str, int]]) -> list[State | str]:
    """Take the steps of a schedule of (task, choice): all states on the way."""
    way: list[State | str] = [graph.first]
    for task, choice in schedule:
        state = way[-1]
        assert isinstance(state, State), f"the schedule goes on after {state}"
        way.append(dict(graph.machine.steps(state, number(task)))[choice])
    return way


def number(task: str) -> int:
    """The number of a task that is called ``t<number>``."""
    return int(task.removeprefix("t"))


def outcome(graph: Graph, state: State | str) -> str | None:
    """What is wrong where a run has come to."""
    if isinstance(state, str):
        return state
    return judge(graph.machine, state, stuck=not graph.steps[state])
