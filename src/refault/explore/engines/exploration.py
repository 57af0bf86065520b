"""What the engines have in common: a program with its tables, and what came of a search."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path as FilePath
from typing import Any, Literal, NamedTuple

from ..cell import Cell
from ..errors import UserError
from ..program import Program
from ..progress import Progress
from ..runner import Finished
from ..symmetry import renamed
from ..tables.behaviour import MAX_HISTORY, Tables
from ..tables.predicate import Trees
from ..trace import Finding

Build = Callable[[Program], object]
Path = list[tuple[int, int]]
"""A schedule: (index of the task, choice) per step."""
Frame = tuple[int, int, int, int, int, int, int, int]
Stack = list[Frame]
"""A stack of the search of states, as ``Core.save`` gives it: what is left to do, as plain data.

Per state on the way: its fingerprint, the next (task, choice) to try, how many states before it
were expanded for one task alone, the (task, choice) by which it was entered, and flags.
"""

STATES = "states"
TRACES = "traces"
SAMPLES = "random"


Reduce = bool | Literal["futures"]
"""No reduction, all that pays, or with futures from the start, until no more is learned of them."""


EVERY = 120.0
"""Seconds between two checkpoints."""


class Options(NamedTuple):
    """How to search: with which reduction, keeping the terminal states or not.

    ``seed`` is where random schedules come from. ``checkpoint`` is the file that a search of
    states which does not come to its end goes on from, with ``resume``; ``about`` says whose it
    is, ``every`` is the time in seconds between two. ``jobs`` is the number of cores to use,
    ``cluster`` the address of a Ray cluster to use instead, with so many ``actors``.
    """

    reduce: Reduce = True
    keep_final: bool = False
    progress: Progress | None = None
    seed: int = 1
    checkpoint: FilePath | None = None
    resume: bool = False
    about: str = ""
    every: float = EVERY
    jobs: int = 1
    cluster: str = ""
    actors: int | None = None


class Outcome(NamedTuple):
    """What an engine found: for each kind a finding with some schedule to it, and totals.

    ``code`` is one of the core; ``final`` holds the terminal states where they were asked for,
    ``workers`` tells how many searched at a time, ``numbers`` the findings by their number in the
    tables of the search, ``minimal`` the kinds whose schedule in ``found`` is known to be the best.
    """

    engine: str
    code: int
    found: dict[str, tuple[Finding, Path]]
    counts: dict[str, int]
    reduction: str
    local_states: int
    misses: int
    final: frozenset[Any]
    reached: frozenset[str]
    states: int = 0
    transitions: int = 0
    terminals: int = 0
    traces: int = 0
    depth: int = 0
    restarts: int = 0
    workers: int = 1
    numbers: frozenset[int] | None = None
    minimal: frozenset[str] = frozenset()


def by_name(cells: Iterable[tuple[Cell[Any], Any]]) -> tuple[tuple[str, Any], ...]:
    """What cells hold, by their names."""
    return tuple(sorted((cell.name, value) for cell, value in cells))


class Exploration:
    """A freshly built program with its behaviour tables and predicates."""

    def __init__(
        self, build: Build, *, max_history: int = MAX_HISTORY, symmetric: bool = True
    ) -> None:
        self.build = build
        self.program = Program()
        build(self.program)
        if not self.program.tasks:
            raise UserError("the program has no tasks", "add at least one task to explore")
        self.tables = Tables(self.program, max_history=max_history, symmetric=symmetric)
        self.trees = Trees(self.tables)
        self.final: set[Any] = set()

    def keep(self, values: list[int], nodes: list[int]) -> None:
        """Remember a terminal state, by names: what all cells hold, which tasks are done."""
        cells = [(c, c.values[v]) for c, v in zip(self.program.cells, values, strict=True)]
        done = [
            t
            for t, n in zip(self.program.tasks, nodes, strict=True)
            if isinstance(self.tables.nodes[n].request, Finished)
        ]
        self.final.add((by_name(cells), frozenset(t.name for t in done)))
        for p in self.tables.orbits.group.members if self.tables.orbits else ():
            moved = [(self.program.cells[p.cells[c.index]], renamed(v, p.names)) for c, v in cells]
            gone = frozenset(self.program.tasks[p.tasks[t.index]].name for t in done)
            self.final.add((by_name(moved), gone))

    def number(self, finding: Finding) -> int:
        """The number of a finding in these tables."""
        known = self.tables.findings
        return known.index(finding) if finding in known else self.trees.number(finding)

    def named(self, path: Iterable[tuple[int, int]]) -> list[tuple[str, int]]:
        """A path with the tasks' names."""
        return [(self.program.tasks[t].name, c) for t, c in path]

    def outcome(
        self,
        engine: str,
        code: int,
        paths: Mapping[int, Path],
        counts: Mapping[int, int],
        reduction: str,
    ) -> Outcome:
        """What came of a search by ``engine`` that found ``paths``, but for its totals."""
        return Outcome(
            engine=engine,
            code=code,
            found=self.found(paths),
            counts=self.counts(counts),
            reduction=reduction,
            local_states=len(self.tables.nodes),
            misses=self.tables.core.misses,
            final=frozenset(self.final),
            reached=frozenset(self.program.reached),
        )

    def found(self, paths: Mapping[int, Path]) -> dict[str, tuple[Finding, Path]]:
        """For each kind of finding the shortest of the paths known to it."""
        best: dict[str, tuple[Finding, Path]] = {}
        for number, path in paths.items():
            finding = self.tables.findings[number]
            if finding.kind not in best or len(path) < len(best[finding.kind][1]):
                best[finding.kind] = (finding, path)
        return best

    def counts(self, counts: Mapping[int, int]) -> dict[str, int]:
        """How often each kind was found."""
        total: Counter[str] = Counter()
        for number, n in counts.items():
            total[self.tables.findings[number].kind] += n
        return dict(total)
