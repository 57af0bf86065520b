"""Tasks that run for ever without getting anywhere; see ``_liveness`` for the theory."""

from __future__ import annotations

import time as clock
from collections.abc import Callable
from typing import NamedTuple

from ..errors import UserError
from ..tables.behaviour import Tables
from ..tables.bounds import OutOfTime
from ..tables.predicate import StateView
from ..trace import Finding
from ..verdict import Limits
from . import _core
from ._liveness import Graph, Late
from ._shortest import nearest
from .cycles import has_cycle, may_come_back

Path = list[tuple[int, int]]
MAX_TASKS = 64


class Lasso(NamedTuple):
    """A way into a cycle, and once around it; ``cycle`` is empty if there was no time for that."""

    finding: Finding
    stem: Path
    cycle: Path
    minimal: bool


class Liveness(NamedTuple):
    """What was found out about endless runs.

    ``code`` tells whether all of them were looked at; ``remark`` says how, in words.
    """

    lassos: tuple[Lasso, ...]
    code: int
    remark: str


class Component(NamedTuple):
    """A fair strongly connected component: its states, and tasks as bit masks."""

    members: list[int]
    inside: int
    starving: int


def endless_runs(tables: Tables, limits: Limits, again: Callable[[float], int]) -> Liveness:
    """Find livelocks: cycles on which a task runs for ever, however fair everything is.

    It comes after a complete search of states. That search may have been a reduced one and still
    tell whether there is a cycle at all: if some run is endless, so is one that takes steps of
    persistent sets only (Valmari 1989), so an acyclic reduced graph has no endless run to look
    for. Several threads cannot tell, but the tables may (``may_come_back``); if not, ``again``
    makes one more search that can, for at most so many seconds, and returns a code of the core.
    All takes at most ``limits.time`` seconds.
    """
    deadline = clock.monotonic() + limits.time
    if not has_cycle(tables):
        return Liveness((), _core.COMPLETE, "every run ends: no task can come back to where it was")
    if tables.core.guessed:
        if not may_come_back(tables):
            remark = "every run ends: what changes cannot all change back"
            return Liveness((), _core.COMPLETE, remark)
        code = again(limits.time)
        if code != _core.COMPLETE:
            return Liveness((), code, "")
    if not tables.core.cyclic:
        return Liveness((), _core.COMPLETE, "every run ends: the graph of states has no cycle")
    if len(tables.program.tasks) > MAX_TASKS:
        raise UserError(
            f"livelocks are looked for among at most {MAX_TASKS} tasks",
            "use fewer tasks, or --no-liveness",
        )
    try:
        with tables.bounds.within(deadline, limits.soft_memory):
            rest = limits.with_(time=max(0.0, deadline - clock.monotonic()))
            return _fair_cycles(tables, rest, deadline)
    except (OutOfTime, Late):
        return Liveness((), _core.LIMIT_TIME, "")
    except MemoryError:
        return Liveness((), _core.LIMIT_MEMORY, "")


def _fair_cycles(tables: Tables, limits: Limits, deadline: float) -> Liveness:
    graph = Graph(tables.core)
    code = graph.build(
        max_states=limits.max_states, max_memory=limits.soft_memory, seconds=limits.time
    )
    if code != _core.COMPLETE:
        return Liveness((), code, "")
    search = _Endless(tables, graph, limits, deadline)
    components = [Component(*c) for c in graph.fair()]
    lassos = search.lassos(components)
    strong = sum(not c.starving for c in components)
    remark = f"{strong} fair cycles among {graph.nstate} states"
    if strong < len(components):
        remark += f", {len(components) - strong} more in which a task starves"
    return Liveness(lassos, code, remark)


class _Endless:
    """Turns bad components into lassos, one for each kind of finding."""

    def __init__(self, tables: Tables, graph: Graph, limits: Limits, deadline: float) -> None:
        self._deadline = deadline
        self._tables = tables
        self._graph = graph
        self._limits = limits
        tasks = tables.program.tasks
        self._names = [t.name for t in tasks]
        self._workers = sum(1 << t.index for t in tasks if not t.daemon)

    def lassos(self, components: list[Component]) -> tuple[Lasso, ...]:
        """One lasso for each kind of finding in the strongly fair components."""
        kinds: dict[str, list[tuple[Component, Finding]]] = {}
        for c in components:
            found = None if c.starving else self._judge(c)
            if found is not None:
                kinds.setdefault(found.kind, []).append((c, found))
        return tuple(self._lasso(cs) for cs in kinds.values())

    def _judge(self, c: Component) -> Finding | None:
        self._graph.visit(self._graph.stem(c.members[0]))
        left = self._workers & ~self._graph.done()
        runners = self._who(left & c.inside)
        if runners:
            others = self._who(left & ~c.inside)
            waits = tuple(f"{n} waits meanwhile" for n in others)
            waits += self._tables.program.remarks(StateView(self._tables))
            verb = "runs" if len(runners) == 1 else "run"
            message = f"{', '.join(runners)} {verb} for ever and never get on"
            return Finding(
                "livelock", message.replace("get on", "gets on", len(runners) == 1), waits
            )
        number = self._graph.judge() if left else -1
        return self._tables.findings[number] if number >= 0 else None

    def _who(self, mask: int) -> list[str]:
        return [n for i, n in enumerate(self._names) if mask >> i & 1]

    def _lasso(self, components: list[tuple[Component, Finding]]) -> Lasso:
        owner = {s: (c, f) for c, f in components for s in c.members}
        found, _code = nearest(
            self._tables.core,
            self._graph.fingerprints(list(owner)),
            max_states=self._limits.max_states,
            max_memory=self._limits.soft_memory,
            seconds=max(0.0, self._deadline - clock.monotonic()),
        )
        if found is None:
            state = components[0][0].members[0]
            stem = self._graph.stem(state)
        else:
            state, stem = self._graph.state(found[0]), found[1]
        component, finding = owner[state]
        try:
            cycle = self._graph.cycle(component.members, state, component.inside)
        except Late:
            cycle = []
        return Lasso(finding, stem, cycle, found is not None)
