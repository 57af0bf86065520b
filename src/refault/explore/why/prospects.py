"""What can still come of a state: whether a kind of finding can be reached, or avoided.

Two questions, one answer each, or ``None`` where a bound was met first:

* *reachable*: does some way of going on end in the finding?
* *doomed*: does every way of going on end in it?

For what ends a run the native core answers, by a reduced search from the state: the reduction keeps
terminal states and kinds of findings. Runs that never end are no way out of a doomed state: a model
in which they matter is checked for livelocks elsewhere. For findings about endless runs the states
are explored here, one by one: all is lost where every state that can be reached still leads into
the cycle.
"""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Iterable, Iterator
from typing import Protocol

from ..engines import _core
from ..memory import resident
from ..tables.behaviour import Tables
from ..tables.bounds import OutOfTime
from ..tables.predicate import StateView
from .walk import State, Walker

MAX_STATES = 2_000_000
MAX_MEMORY = 256 << 20
MAX_VISITED = 30_000
"""States that are explored in Python, at most."""


class Prospects(Protocol):
    """Answers the two questions."""

    def reachable(self, state: State) -> bool | None:
        """Whether the finding can still come about."""

    def doomed(self, state: State) -> bool | None:
        """Whether it cannot be avoided any more."""


class _Enough(Exception):
    """The answer is known before the search is complete."""


class Ends:
    """For findings that end a run: a search in the native core, from the state."""

    def __init__(self, tables: Tables, kind: str, deadline: float) -> None:
        self._tables = tables
        self._kind = kind
        self._deadline = deadline
        self._reachable: dict[State, bool | None] = {}

    def reachable(self, state: State) -> bool | None:
        """See ``Prospects``."""
        if state not in self._reachable:
            self._reachable[state] = self._is_reachable(state)
        return self._reachable[state]

    def _is_reachable(self, state: State) -> bool | None:
        try:
            complete = self._search(state, stop_at=True)
        except _Enough:
            return True
        return True if self._kind in self._kinds() else (False if complete else None)

    def doomed(self, state: State) -> bool | None:
        """See ``Prospects``."""
        try:
            complete = self._search(state, stop_at=False)
        except _Enough:
            return False
        if self._kinds() - {self._kind}:
            return False
        return True if complete else None

    def _kinds(self) -> set[str]:
        return {self._tables.findings[n].kind for n in self._tables.core.counts}

    def _search(self, state: State, *, stop_at: bool) -> bool:
        """Visit all that follows; raise ``_Enough`` at an end that is (not) of the kind."""

        def sink(_values: list[int], _nodes: list[int]) -> None:
            found = self._tables.program.judge(StateView(self._tables))
            if (found is not None and found.kind == self._kind) == stop_at:
                raise _Enough

        core = self._tables.core
        self._tables.native.set_root(state.values, state.nodes, 1)
        code = _core.RESTART
        try:
            while code == _core.RESTART:
                code = core.search(
                    reduce=True,
                    resume=False,
                    max_states=MAX_STATES,
                    max_memory=resident() + MAX_MEMORY,
                    seconds=max(0.0, self._deadline - clock.monotonic()),
                    terminal_sink=sink,
                )
        except OutOfTime:
            return False
        return code == _core.COMPLETE


class Rounds:
    """For findings about endless runs: all states are explored once, one by one."""

    def __init__(self, walker: Walker, cycle: Iterable[State], deadline: float) -> None:
        self._walker = walker
        self._deadline = deadline
        before = self._explore()
        self._known = before is not None
        self._leading = _leading_to(set(cycle), before or {})
        self._escaping = _leading_to(set(before or ()) - self._leading, before or {})

    def reachable(self, state: State) -> bool | None:
        """See ``Prospects``."""
        return state in self._leading if self._known else None

    def doomed(self, state: State) -> bool | None:
        """See ``Prospects``."""
        return state not in self._escaping if self._known else None

    def _explore(self) -> dict[State, set[State]] | None:
        """All states, each with those that come right before it."""
        root = self._walker.start()
        before: dict[State, set[State]] = {root: set()}
        queue = deque([root])
        while queue:
            if len(before) > MAX_VISITED or clock.monotonic() > self._deadline:
                return None
            state = queue.popleft()
            for after in self._following(state):
                if after not in before:
                    before[after] = set()
                    queue.append(after)
                before[after].add(state)
        return before

    def _following(self, state: State) -> Iterator[State]:
        walker = self._walker
        for task in range(len(walker.tasks)):
            for choice in range(walker.options(state, task)):
                step = walker.step(state, task, choice)
                if step is not None and step.failure is None:
                    yield step.state


def _leading_to(goals: set[State], before: dict[State, set[State]]) -> set[State]:
    """The states from which some of ``goals`` can be reached."""
    found = set(goals)
    queue = deque(goals)
    while queue:
        new = before.get(queue.popleft(), set()) - found
        found |= new
        queue.extend(new)
    return found
