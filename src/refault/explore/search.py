"""``check``: build, search, explain, conclude."""

from __future__ import annotations

import os
import sys
import time as clock
from contextlib import suppress
from pathlib import Path
from typing import Literal

from .engines import _core
from .engines.best import best_path
from .engines.exploration import (
    EVERY,
    TRACES,
    Build,
    Exploration,
    Options,
    Outcome,
    Reduce,
)
from .engines.liveness import Lasso, endless_runs
from .engines.portfolio import race
from .engines.samples import search_samples
from .engines.states import StateSearch
from .engines.traces import search_traces
from .engines.watchdog import watching
from .errors import UserError
from .memory import bound, guarded, wanting
from .progress import Figures, Progress
from .replay import replay
from .tables.behaviour import MAX_HISTORY
from .trace import Finding, Trace
from .verdict import Evidence, Limits, Verdict, conclude
from .why.explain import SECONDS, explained

Engine = Literal["portfolio", "states", "traces", "random"]
Found = tuple[tuple[Finding, Trace | None], ...]

GRACE = 0.5
"""Where the time is up, so many seconds are left for the best counterexample, and to explain it."""

BEST = 5.0
"""The best counterexample is looked for so long, or three times as long as the search took."""


@watching()
def check(
    build: Build,
    *,
    engine: Engine = "portfolio",
    reduce: Reduce = True,
    liveness: bool = True,
    max_states: int | None = None,
    max_memory: int | None = None,
    time: float | None = None,
    max_history: int = MAX_HISTORY,
    explain: bool = True,
    explain_seconds: float = SECONDS,
    keep_terminals: bool = False,
    seed: int = 1,
    checkpoint: Path | None = None,
    checkpoint_every: float = EVERY,
    resume: bool = False,
    about: str = "",
    jobs: int | None = None,
    cluster: str = "",
    progress: Progress | None = None,
) -> Verdict:
    """Explore every interleaving of the program that ``build`` makes.

    ``engine`` is what searches: ``states`` stores states, ``traces`` runs one execution of each
    Mazurkiewicz trace (of programs whose runs all end), ``random`` takes random schedules from
    ``seed`` and proves nothing, ``portfolio`` races them. ``reduce``
    is the reduction of the first: the learned lock discipline, which gives way to that by
    ``futures`` where a search takes long, or ``False``; ``liveness`` the search for livelocks,
    which takes the whole graph of states where tasks can come back to where they were;
    ``explain`` the search for the counterexample with the fewest context switches, and for why it
    goes wrong, which takes at most ``explain_seconds`` for each, and no longer than the search
    took, or half a second (0: do not ask why).
    ``max_states``, ``max_memory`` (bytes that this process may take, and those that it starts;
    half of what is available if not given) and ``time`` (seconds) bound the search; one that meets
    a bound without a finding is *inconclusive*; a long one leaves a ``checkpoint``, and one every
    so many seconds on the way, that a later call goes on from with ``resume`` (``about`` names what
    it is of). ``jobs`` is how many cores to use, all that there are by default; a search that takes
    but a moment uses one. ``cluster`` is the address of a Ray cluster, or ``local``: the states are
    then searched there, by so many actors. ``progress`` is called with ``Figures`` a few times a
    second, at most. Raises ``ModelError`` for a model that breaks the rules; Ctrl-C makes the
    verdict *inconclusive*.
    """
    limits = Limits(max_memory=bound(max_memory), asked_memory=max_memory)
    limits = limits.with_(max_states=max_states, time=time)
    options = Options(
        reduce=reduce,
        keep_final=keep_terminals,
        progress=progress,
        seed=seed,
        checkpoint=checkpoint,
        resume=resume,
        about=about,
        every=checkpoint_every,
        jobs=_cores(jobs),
        cluster=cluster,
        actors=jobs,
    )
    patience = explain_seconds if explain else None
    symmetric = bool(reduce) and engine in ("portfolio", "states")
    with guarded(limits.max_memory):
        try:
            exploration = Exploration(build, max_history=max_history, symmetric=symmetric)
        except MemoryError:
            return _none(_reason(_core.LIMIT_MEMORY, limits))
        try:
            return _check(exploration, limits, engine, options, liveness, patience)
        except MemoryError:
            return _none(_reason(_core.LIMIT_MEMORY, limits))
        finally:
            exploration.tables.close()


def _check(
    exploration: Exploration,
    limits: Limits,
    engine: Engine,
    options: Options,
    liveness: bool,
    patience: float | None,
) -> Verdict:
    began = clock.monotonic()
    end = began + limits.time
    outcome = _search(exploration, limits, engine, options)
    lassos: tuple[Lasso, ...] = ()
    code, remark = outcome.code, "not looked for"
    if outcome.engine == TRACES and code == _core.COMPLETE:
        remark = "every run ends"
    elif liveness and code == _core.COMPLETE and not outcome.found:
        _tell(options, "looking for livelocks")
        rest = limits.with_(time=_until(end) - clock.monotonic())
        lassos, code, remark = _endless(exploration, rest, options, outcome)
    reason = _reason(code, limits) + _kept(code, options)
    evidence = _evidence(outcome, clock.monotonic() - began, reason, remark)
    explain = patience is not None and code != _core.INTERRUPTED
    if explain and outcome.found:
        _tell(options, "looking for the best counterexample")
    best = min(_until(end), clock.monotonic() + max(BEST, 3 * evidence.seconds))
    findings = _findings(exploration, outcome, lassos, limits, best if explain else None)
    if patience is not None:
        patience = min(patience, max(0.5, evidence.seconds))
        findings = _explained(exploration, findings, patience, _until(end))
    return conclude(
        complete=code == _core.COMPLETE,
        reason=reason,
        findings=findings,
        evidence=evidence,
        counts=outcome.counts,
        terminals=outcome.final if options.keep_final else None,
        unreached=tuple(n for n in exploration.program.declared if n not in outcome.reached),
    )


def _cores(jobs: int | None) -> int:
    """How many cores to use: those that this process may run on, unless told."""
    if jobs is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if jobs < 1:
        raise UserError(f"{jobs} jobs cannot search", "give a number of cores, 1 or more")
    return jobs


def _none(reason: str) -> Verdict:
    """The verdict where memory did not suffice to look at anything, or to say what was seen."""
    evidence = Evidence("none", 0, 0, 0, 0, 0.0, 0, "none", 0.0, (reason,), 0, 0)
    return conclude(complete=False, reason=reason, findings=(), evidence=evidence, counts={})


def _tell(options: Options, phase: str) -> None:
    if options.progress is not None:
        options.progress(Figures(phase))


def _until(end: float) -> float:
    """When to be done: at the ``end`` of the time, or in a moment if that is now."""
    return max(end, clock.monotonic() + GRACE)


def _kept(code: int, options: Options) -> str:
    """Say that a checkpoint is there; one of a search that is over is removed."""
    path = options.checkpoint
    if path is None or not path.exists():
        return ""
    if code != _core.COMPLETE:
        return "; go on with --resume"
    with suppress(OSError):
        path.unlink()
    return ""


def _search(exploration: Exploration, limits: Limits, engine: Engine, options: Options) -> Outcome:
    if options.cluster and engine not in ("portfolio", "states"):
        raise UserError(f"a cluster searches states, no {engine}", "leave out one of the two")
    if options.cluster:
        return _search_there(exploration, limits, options)
    if engine == "portfolio":
        return race(exploration, limits, options)
    if engine == "states":
        return _states(exploration, limits, options).outcome_after(limits.time)
    if engine == "traces":
        return search_traces(exploration, limits, limits.time, options)
    if engine == "random":
        return search_samples(exploration, limits, limits.time, options)
    raise UserError(f"no engine is called {engine!r}", "portfolio, states, traces or random")


def _states(exploration: Exploration, limits: Limits, options: Options) -> StateSearch:
    states = StateSearch(exploration, limits, options)
    if options.resume:
        states.load()
    return states


def _search_there(exploration: Exploration, limits: Limits, options: Options) -> Outcome:
    from .engines.on_ray import ray_crew  # noqa: PLC0415  # few have Ray

    states = _states(exploration, limits, options)
    with ray_crew(exploration.build, options.cluster, options.actors) as crew:
        return states.outcome_after(limits.time, crew)


def _endless(
    exploration: Exploration, limits: Limits, options: Options, outcome: Outcome
) -> tuple[tuple[Lasso, ...], int, str]:
    def again(seconds: float) -> int:
        alone = options._replace(keep_final=False, checkpoint=None)
        if "futures" in outcome.reduction:
            alone = alone._replace(reduce="futures")
        return StateSearch(exploration, limits, alone).run(seconds)

    try:
        return endless_runs(exploration.tables, limits, again)
    except KeyboardInterrupt:
        return (), _core.INTERRUPTED, "interrupted"


def _evidence(outcome: Outcome, seconds: float, reason: str, liveness: str) -> Evidence:
    return Evidence(
        engine=outcome.engine,
        states=outcome.states,
        transitions=outcome.transitions,
        terminals=outcome.terminals,
        traces=outcome.traces,
        seconds=seconds,
        depth=outcome.depth,
        reduction=outcome.reduction,
        collision=outcome.states**2 / 2.0**64,
        bounds=(reason,) if reason else (),
        local_states=outcome.local_states,
        table_misses=outcome.misses,
        restarts=outcome.restarts,
        workers=outcome.workers,
        liveness=liveness,
    )


def _findings(
    exploration: Exploration,
    outcome: Outcome,
    lassos: tuple[Lasso, ...],
    limits: Limits,
    deadline: float | None,
) -> Found:
    """Every kind of finding, with its best trace unless ``deadline`` is None, the easiest first."""
    if deadline is None:
        plain = [f for f, _ in outcome.found.values()] + [lasso.finding for lasso in lassos]
        return tuple((f, None) for f in plain)
    try:
        traced = [_best(exploration, outcome, kind, limits, deadline) for kind in outcome.found]
        traced += [_round(exploration, lasso) for lasso in lassos]
    except (KeyboardInterrupt, MemoryError):
        return _findings(exploration, outcome, lassos, limits, None)
    return tuple(sorted(traced, key=_ease))


def _ease(found: tuple[Finding, Trace | None]) -> tuple[bool, int, int]:
    trace = found[1]
    return (not trace.minimal, trace.switches, trace.steps) if trace else (True, sys.maxsize, 0)


def _explained(exploration: Exploration, findings: Found, seconds: float, deadline: float) -> Found:
    """The same with what explains each; the finding is that of a schedule made shorter.

    Each takes ``seconds`` at most, and none goes on after ``deadline``.
    """
    traces = []
    for _, trace in findings:
        left = max(0.0, deadline - clock.monotonic())
        traces.append(trace and explained(exploration, trace, min(seconds, left)))
    return tuple((t.finding if t else f, t) for (f, _), t in zip(findings, traces, strict=True))


def _best(
    exploration: Exploration, outcome: Outcome, kind: str, limits: Limits, deadline: float
) -> tuple[Finding, Trace | None]:
    """The schedule with the fewest context switches to a finding of ``kind``, replayed."""
    finding, path, minimal = best_path(exploration, outcome, kind, limits, deadline)
    schedule = exploration.named(path)
    return finding, replay(exploration.build, schedule, minimal=minimal, expect=kind)


def _round(exploration: Exploration, lasso: Lasso) -> tuple[Finding, Trace | None]:
    if not lasso.cycle:
        return lasso.finding, None
    path = lasso.stem + lasso.cycle
    trace = replay(
        exploration.build,
        exploration.named(path),
        minimal=lasso.minimal,
        cycle=len(lasso.stem),
        finding=lasso.finding,
    )
    return lasso.finding, trace


def _reason(code: int, limits: Limits) -> str:
    """Which bound ended the search, and what lifts it."""
    return {
        _core.COMPLETE: "",
        _core.LIMIT_STATES: f"{limits.max_states} states stored: raise --max-states",
        _core.LIMIT_MEMORY: wanting(limits.max_memory, limits.asked_memory),
        _core.LIMIT_TIME: f"{limits.time:g} s passed: raise --time",
        _core.LIMIT_DEPTH: "a run does not end: use --engine states",
        _core.LIMIT_WIDTH: "an atomic block touches more than 64 cells: use --engine states",
        _core.INTERRUPTED: "interrupted",
    }[code]
