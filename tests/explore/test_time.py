"""The time that was given is kept in every phase; what was found by then is told."""

from __future__ import annotations

import time

import pytest
from bench import models
from bench.mutex import Build, Mutex, holders, lock, unlock

from refault.explore import Program, check, restart
from refault.explore.engines import _core
from refault.explore.engines._liveness import Graph, Late
from refault.explore.engines.best import best_path
from refault.explore.engines.exploration import Exploration, Options
from refault.explore.engines.liveness import endless_runs
from refault.explore.engines.states import StateSearch
from refault.explore.search import GRACE, Engine, _until
from refault.explore.verdict import Limits

PATIENCE = 15.0
"""No machine is so busy that a check of a fraction of a second takes so long."""


def races(p: Program) -> None:
    """One execution of it takes the search of traces a tenth of a second or more."""
    x = p.cell("x", 0)

    def writer(i: int) -> None:
        for k in range(700):
            x.write(700 * i + k)

    for i in range(8):
        p.task(f"writer{i}", writer, i)


def rounds(p: Program) -> None:
    """Philosophers who eat for ever, in order of the forks."""
    forks: list[Mutex] = [p.cell(f"fork{i}", None, holders=holders) for i in range(5)]

    def philosopher(i: int) -> None:
        first, second = sorted((i, (i + 1) % 5))
        while True:
            restart()
            lock(forks[first])
            lock(forks[second])
            unlock(forks[second])
            unlock(forks[first])

    for i in range(5):
        p.task(f"philosopher{i}", philosopher, i)


@pytest.mark.parametrize("engine", ["states", "traces", "random", "portfolio"])
def test_every_engine_ends_in_time(engine: Engine) -> None:
    began = time.monotonic()
    verdict = check(races, engine=engine, time=0.3)
    assert verdict.kind == "inconclusive"
    assert verdict.reason == "0.3 s passed: raise --time"
    assert time.monotonic() - began < PATIENCE


def test_what_is_found_late_is_told_soon() -> None:
    """The best schedule among many states, and its explanation, have a moment each."""
    began = time.monotonic()
    verdict = check(models.uffd(5, wake_on_eexist=False), engine="states", reduce=False, time=1.0)
    assert str(verdict) == "lost wakeup"
    assert verdict.trace is not None
    assert verdict.reason == "1 s passed: raise --time"
    assert time.monotonic() - began < PATIENCE


def test_when_the_time_is_up_there_is_a_moment_left() -> None:
    now = time.monotonic()
    assert _until(now + 100) == now + 100
    assert now + GRACE <= _until(now - 100) < now + 100


def searched(build: Build) -> tuple[Exploration, StateSearch, int]:
    exploration = Exploration(build)
    search = StateSearch(exploration, Limits(), Options())
    return exploration, search, search.run(60)


def test_livelocks_are_not_looked_for_without_time() -> None:
    exploration, search, code = searched(rounds)
    assert code == _core.COMPLETE
    assert endless_runs(exploration.tables, Limits(), search.run).code == _core.COMPLETE
    late = endless_runs(exploration.tables, Limits(time=0.0), search.run)
    assert (late.lassos, late.code) == ((), _core.LIMIT_TIME)


def test_fair_cycles_are_given_up_in_time() -> None:
    exploration, _, _ = searched(rounds)
    graph = Graph(exploration.tables.core)
    assert graph.build(max_states=10**6, max_memory=1 << 40, seconds=0.0) == _core.COMPLETE
    with pytest.raises(Late):
        graph.fair()


def test_without_time_the_schedule_known_is_the_answer() -> None:
    exploration, search, code = searched(models.philosophers(6, 2))
    outcome = search.outcome(code)
    known = outcome.found["deadlock"][1]
    late = best_path(exploration, outcome, "deadlock", Limits(), time.monotonic() - 1)
    assert late[1:] == (known, False)
    soon = best_path(exploration, outcome, "deadlock", Limits(), time.monotonic() + 60)
    assert soon[2]
    assert len(soon[1]) <= len(known)
