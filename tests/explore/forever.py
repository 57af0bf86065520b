"""The same dumb enumeration for runs that never end.

The graph of states is cut down to the parts that a run can circle in for ever although every task
that is able to move again and again does move (strong fairness). In such a part either a task that
is no daemon moves and never ends, a *livelock*, or it stands still while daemons go round, and is
judged as at an end.
"""

from __future__ import annotations

from typing import NamedTuple

from tests.explore.bruteforce import Cost, Graph, Truth, cheapest, judge
from tests.explore.machine import Machine, State

LIVELOCK = "livelock"

Edges = dict[State, list[tuple[int, State]]]
States = frozenset[State]


class Forever(NamedTuple):
    """Whether any run is endless; kinds of failures of fair ones, with the cost of the way in."""

    endless: bool
    costs: dict[str, Cost]


class Both(NamedTuple):
    """The edges of a graph, forwards and backwards."""

    forward: Edges
    backward: Edges


def both_ways(graph: Graph) -> Both:
    """Leave out failures, and turn all edges round."""
    forward: Edges = {
        s: [(t, a) for t, a in steps if isinstance(a, State)] for s, steps in graph.steps.items()
    }
    backward: Edges = {state: [] for state in forward}
    for state, steps in forward.items():
        for task, after in steps:
            backward[after].append((task, state))
    return Both(forward, backward)


def reach(edges: Edges, start: State, within: States) -> States:
    """Walk from ``start`` without leaving ``within``."""
    seen = {start}
    todo = [start]
    while todo:
        for _, after in edges[todo.pop()]:
            if after in within and after not in seen:
                seen.add(after)
                todo.append(after)
    return frozenset(seen)


def trimmed(edges: Both, within: States) -> States:
    """Leave out what no cycle goes through: dead ends, forwards and backwards, again and again."""
    left = set(within)
    todo = list(within)
    while todo:
        state = todo.pop()
        if state not in left:
            continue
        ahead = [a for _, a in edges.forward[state] if a in left]
        behind = [b for _, b in edges.backward[state] if b in left]
        if not ahead or not behind:
            left.remove(state)
            todo += ahead + behind
    return frozenset(left)


def circles(edges: Both, within: States) -> list[States]:
    """The strongly connected parts with at least one edge."""
    left = trimmed(edges, within)
    found = []
    while left:
        start = next(iter(left))
        part = reach(edges.forward, start, left) & reach(edges.backward, start, left)
        if any(after in part for s in part for _, after in edges.forward[s]):
            found.append(part)
        left = trimmed(edges, left - part)
    return found


def fair(edges: Both, within: States) -> list[tuple[States, set[int]]]:
    """The strongly fair parts, each with the tasks that move in it."""
    found = []
    for part in circles(edges, within):
        able = {task for s in part for task, _ in edges.forward[s]}
        moving = {task for s in part for task, after in edges.forward[s] if after in part}
        starving = able - moving
        if not starving:
            found.append((part, moving))
            continue
        calm = frozenset(s for s in part if not starving & {t for t, _ in edges.forward[s]})
        found += fair(edges, calm)
    return found


def verdict_on(machine: Machine, part: States, moving: set[int]) -> str | None:
    """What is wrong with circling in a part for ever."""
    state = next(iter(part))
    tasks = enumerate(machine.model.tasks)
    left = {i for i, t in tasks if not t.daemon and not machine.done(state, i)}
    if left & moving:
        return LIVELOCK
    return judge(machine, state, stuck=True)


def runs_for_ever(graph: Graph, truth: Truth) -> Forever:
    """Look for endless runs; for bad ones only if nothing else is wrong with the model."""
    edges = both_ways(graph)
    everything = frozenset(graph.steps)
    endless = bool(trimmed(edges, everything))
    if truth.costs:
        return Forever(endless, {})
    bad: dict[State, str] = {}
    for part, moving in fair(edges, everything):
        wrong = verdict_on(graph.machine, part, moving)
        if wrong is not None:
            bad |= dict.fromkeys(part, wrong)
    return Forever(endless, cheapest(graph, bad.get))
