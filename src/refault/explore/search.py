"""``check``: build, search, explain."""

from __future__ import annotations

import math
import time as clock
from collections import Counter
from collections.abc import Callable
from typing import Any

from . import _core
from ._shortest import shortest
from .errors import UserError
from .liveness import Lasso, endless_runs
from .predicate import Trees
from .program import Program
from .replay import replay
from .runner import Finished
from .tables import MAX_HISTORY, OutOfTime, Tables
from .trace import Finding, Trace
from .verdict import Evidence, Limits, Verdict, conclude

Build = Callable[[Program], object]
Progress = Callable[[int, int, int], object]
Path = list[tuple[int, int]]


class Search:
    """One exploration of one program."""

    def __init__(self, build: Build, *, max_history: int = MAX_HISTORY) -> None:
        self.build = build
        self.program = Program()
        build(self.program)
        if not self.program.tasks:
            raise UserError("the program has no tasks", "add at least one task to explore")
        self.tables = Tables(self.program, max_history=max_history)
        self.trees = Trees(self.tables)
        self.terminals: set[Any] = set()
        self.restarts = 0

    def run(
        self, limits: Limits, *, reduce: bool, keep_terminals: bool, progress: Progress | None
    ) -> int:
        """Search until the assumptions of the reduction stand; returns a code of the core."""
        deadline = clock.monotonic() + limits.time
        while True:
            self.terminals.clear()
            code = self._search(deadline, limits, reduce, keep_terminals, progress)
            if code != _core.RESTART:
                return code
            self.restarts += 1

    def _search(
        self,
        deadline: float,
        limits: Limits,
        reduce: bool,
        keep_terminals: bool,
        progress: Progress | None,
    ) -> int:
        self.tables.deadline = deadline
        try:
            return self.tables.core.search(
                reduce=reduce,
                max_states=limits.max_states,
                max_memory=limits.max_memory,
                seconds=max(0.0, deadline - clock.monotonic()),
                terminal_sink=self._keep if keep_terminals else None,
                tick=progress,
            )
        except OutOfTime:
            return _core.LIMIT_TIME
        finally:
            self.tables.deadline = math.inf

    def _keep(self, values: list[int], nodes: list[int]) -> None:
        cells = tuple(
            sorted((c.name, c.values[v]) for c, v in zip(self.program.cells, values, strict=True))
        )
        done = frozenset(
            t.name
            for t, n in zip(self.program.tasks, nodes, strict=True)
            if isinstance(self.tables.nodes[n].request, Finished)
        )
        self.terminals.add((cells, done))

    def evidence(
        self, seconds: float, *, reduce: bool, bounds: tuple[str, ...], liveness: str
    ) -> Evidence:
        """What the last search has seen."""
        core = self.tables.core
        return Evidence(
            states=core.states,
            transitions=core.transitions,
            terminals=core.terminals,
            seconds=seconds,
            depth=core.deepest,
            reduction="lock discipline" if reduce else "none",
            collision=core.states**2 / 2.0**64,
            bounds=bounds,
            local_states=len(self.tables.nodes),
            table_misses=core.misses,
            restarts=self.restarts,
            liveness=liveness,
        )

    def explain(self, limits: Limits) -> list[tuple[Finding, Trace]]:
        """For each kind of finding, the schedule with the fewest context switches, replayed."""
        core = self.tables.core
        findings = self.tables.findings
        best: dict[str, tuple[int, Path, bool]] = {}
        for number, path in core.paths.items():
            kind = findings[number].kind
            if kind not in best or len(path) < len(best[kind][1]):
                best[kind] = (number, path, False)
        for kind in best:
            found, _code = shortest(
                core,
                _ByKind(findings),
                kind,
                max_states=limits.max_states,
                max_memory=limits.max_memory,
                seconds=limits.time,
            )
            if found is not None:
                best[kind] = (*found, True)
        traced = [self._trace(*b) for b in best.values()]
        return sorted(traced, key=lambda ft: (not ft[1].minimal, ft[1].switches, ft[1].steps))

    def findings(
        self, limits: Limits, lassos: tuple[Lasso, ...], *, explain: bool
    ) -> tuple[tuple[Finding, Trace | None], ...]:
        """Every kind of finding, with its trace if ``explain``."""
        if not explain:
            kinds = {self.tables.findings[n].kind: n for n in self.tables.core.paths}
            return tuple((self.tables.findings[n], None) for n in kinds.values()) + tuple(
                (lasso.finding, None) for lasso in lassos
            )
        found = self.explain(limits) if self.tables.core.paths else []
        return (*found, *(self._round(lasso) for lasso in lassos))

    def _round(self, lasso: Lasso) -> tuple[Finding, Trace]:
        trace = replay(
            self.build,
            self._named(lasso.stem + lasso.cycle),
            minimal=lasso.minimal,
            cycle=len(lasso.stem),
            finding=lasso.finding,
        )
        return lasso.finding, trace

    def _named(self, path: Path) -> list[tuple[str, int]]:
        return [(self.program.tasks[t].name, c) for t, c in path]

    def _trace(self, number: int, path: Path, minimal: bool) -> tuple[Finding, Trace]:
        finding = self.tables.findings[number]
        schedule = self._named(path)
        return finding, replay(self.build, schedule, minimal=minimal, expect=finding.kind)

    def counts(self) -> dict[str, int]:
        """How often each kind was found."""
        total: Counter[str] = Counter()
        for number, n in self.tables.core.counts.items():
            total[self.tables.findings[number].kind] += n
        return dict(total)


class _ByKind:
    """Finding number to kind, for numbers that may still be added."""

    def __init__(self, findings: list[Finding]) -> None:
        self._findings = findings

    def get(self, number: int) -> str:
        return self._findings[number].kind


def check(
    build: Build,
    *,
    reduce: bool = True,
    liveness: bool = True,
    max_states: int | None = None,
    max_memory: int | None = None,
    time: float | None = None,
    max_history: int = MAX_HISTORY,
    explain: bool = True,
    keep_terminals: bool = False,
    progress: Progress | None = None,
) -> Verdict:
    """Explore every interleaving of the program that ``build`` makes.

    ``reduce`` switches the learned lock discipline; ``liveness`` the search for livelocks, which
    takes the whole graph of states where tasks can come back to where they were; ``explain`` the
    search for the counterexample with the fewest context switches. ``max_states``,
    ``max_memory`` (bytes) and ``time`` (seconds) bound the search; a search that meets a bound
    without a finding is *inconclusive*. ``progress`` is called with (states, transitions, depth)
    now and then. Raises ``ModelError`` for a model that breaks the rules; a
    ``KeyboardInterrupt`` makes the verdict *inconclusive*.
    """
    default = Limits()
    limits = Limits(
        default.max_states if max_states is None else max_states,
        default.max_memory if max_memory is None else max_memory,
        default.time if time is None else time,
    )
    began = clock.perf_counter()
    search = Search(build, max_history=max_history)
    lassos: tuple[Lasso, ...] = ()
    remark = "not looked for"
    try:
        code = search.run(limits, reduce=reduce, keep_terminals=keep_terminals, progress=progress)
        if liveness and code == _core.COMPLETE and not search.tables.core.paths:
            lassos, code, remark = endless_runs(search.tables, limits)
    except KeyboardInterrupt:
        code = _core.INTERRUPTED
    seconds = clock.perf_counter() - began
    reason = _reason(code, limits)
    evidence = search.evidence(
        seconds, reduce=reduce, bounds=(reason,) if reason else (), liveness=remark
    )
    try:
        findings = search.findings(limits, lassos, explain=explain and code != _core.INTERRUPTED)
    finally:
        search.tables.close()
    return conclude(
        complete=code == _core.COMPLETE,
        reason=reason,
        findings=findings,
        evidence=evidence,
        counts=search.counts(),
        terminals=frozenset(search.terminals) if keep_terminals else None,
        unreached=tuple(n for n in search.program.declared if n not in search.program.reached),
    )


def _reason(code: int, limits: Limits) -> str:
    """Which bound ended the search, and what lifts it."""
    return {
        _core.COMPLETE: "",
        _core.LIMIT_STATES: f"{limits.max_states} states stored: raise --max-states",
        _core.LIMIT_MEMORY: f"{limits.max_memory >> 20} MiB used: raise --max-memory",
        _core.LIMIT_TIME: f"{limits.time:g} s passed: raise --time",
        _core.INTERRUPTED: "interrupted",
    }[code]
