"""How much there is in all: samples that are even, and bounds that were measured."""

from __future__ import annotations

import math

import pytest
from bench import models

from refault.explore import Program
from refault.explore.engines import _core, meter
from refault.explore.engines.estimate import BINS, STATES, TRANSITIONS, Coverage, Surveyor
from refault.explore.engines.exploration import Build, Exploration, Options
from refault.explore.engines.meter import Meter
from refault.explore.engines.states import StateSearch
from refault.explore.progress import Figures
from refault.explore.tables.futures import take
from refault.explore.verdict import Limits


def writers(tasks: int, writes: int) -> Build:
    """Each task writes numbers of its own to one cell: a grid, but for who was last."""

    def build(p: Program) -> None:
        x = p.cell("x", -1)

        def writer(i: int) -> None:
            for k in range(writes):
                x.write(writes * i + k)

        for i in range(tasks):
            p.task(f"writer{i}", writer, i)

    return build


def shares(build: Build, reduce: bool | str, stops: tuple[float, ...]) -> list[float]:
    """What the samples say when a search of known size is stopped."""
    exploration = Exploration(build)
    core = exploration.tables.core

    def go(states: int, *, resume: bool) -> int:
        return core.search(
            reduce=bool(reduce), resume=resume, max_states=states, max_memory=1 << 40, seconds=60
        )

    while go(10**9, resume=False) == _core.RESTART:
        pass
    if reduce == "futures":
        exploration.tables.native.set_futures(*take(exploration.tables).packed())
        assert go(10**9, resume=False) == _core.COMPLETE
    total = core.states
    surveyor = Surveyor(exploration.tables, bool(reduce))
    surveyor.draw(samples=3_000, tries=100_000, seconds=60)
    found = []
    for number, stop in enumerate(stops):
        assert go(round(stop * total), resume=number > 0) == _core.LIMIT_STATES
        found.append(surveyor.coverage().share)
    exploration.tables.close()
    return found


@pytest.mark.parametrize("build", [writers(3, 20), models.counter(6), models.indexer(6)])
def test_samples_are_even_where_steps_tell_states_apart(build: Build) -> None:
    stops = (0.1, 0.3, 0.5, 0.8)
    for stop, share in zip(stops, shares(build, False, stops), strict=True):
        assert share == pytest.approx(stop, abs=0.07)


def test_steps_that_are_taken_alone_are_weighed() -> None:
    """By the reduction many places of the tasks lead to one state: most samples are that one."""
    (share,) = shares(models.readers(10), "futures", (0.2,))
    assert share == pytest.approx(0.2, abs=0.1)


def test_there_is_no_estimate_before_there_is_something_to_say() -> None:
    few, hits, early = Coverage(0.5, 100, 50), Coverage(0.5, 2000, 3), Coverage(0.15, 2000, 300)
    for coverage in (few, hits, early):
        assert coverage.estimate(10**6, 10**7, 1e6) is None


@pytest.mark.parametrize("share", [0.2, 0.25, 0.3, 0.5, 0.7, 0.9, 1.0])
def test_the_truth_is_never_below_what_is_there(share: float) -> None:
    estimate = Coverage(share, 2000, 1000).estimate(1_000_000, 10_000_000, 1e6)
    assert estimate is not None
    low, high = estimate.states
    assert 1_000_000 <= low <= high
    assert 0 < estimate.done[0] <= estimate.done[1] <= 1
    assert 0 <= estimate.seconds[0] <= estimate.seconds[1] < math.inf


def test_the_bounds_come_nearer_as_more_is_done() -> None:
    for factors in (STATES, TRANSITIONS):
        assert len(factors) == len(BINS)
        widths = [high / low for low, high in factors]
        assert all(low <= 1 <= high for low, high in factors)
        assert widths == sorted(widths, reverse=True)


def test_without_a_rate_there_is_no_end_in_sight() -> None:
    estimate = Coverage(0.3, 2000, 1000).estimate(1_000_000, 10_000_000, 0.0)
    assert estimate is not None
    assert estimate.seconds[1] == math.inf


def test_rates_are_those_of_the_last_seconds() -> None:
    now, seen = [1000.0], list[Figures]()
    m = Meter(seen.append, 1 << 30, now=lambda: now[0])
    states = 0
    for second in range(40):
        now[0] = 1000.0 + second
        m.tick(states, 4 * states, 7, None)
        m.tick(states, 4 * states, 7, None)
        states += 1_000_000 if second < 20 else 100_000
    assert len(seen) == 40, "a report a second, the second tick of it is too early"
    assert seen[15].rate == pytest.approx(1_000_000)
    assert seen[-1].rate == pytest.approx(100_000)
    m.tick(5, 20, 1, None)
    now[0] += 1
    m.tick(5, 20, 1, None)
    assert seen[-1].rate == 0, "it has begun again"


@pytest.mark.parametrize(("reduce", "jobs"), [(False, 1), (True, 1), (False, 3)])
def test_drawing_samples_does_not_disturb_the_search(
    monkeypatch: pytest.MonkeyPatch, reduce: bool, jobs: int
) -> None:
    build = models.philosophers(6, 2)
    alone = StateSearch(Exploration(build), Limits(), Options(reduce))
    code = alone.run(60)
    monkeypatch.setattr(meter, "EVERY", 0.0)
    monkeypatch.setattr(meter, "PATIENCE", -1.0)
    seen: list[Figures] = []
    watched = StateSearch(Exploration(build), Limits(), Options(reduce, progress=seen.append))
    watched.jobs = jobs
    assert watched.run(60) == code == _core.COMPLETE
    a, b = alone.outcome(code), watched.outcome(code)
    assert (a.states, a.terminals, a.counts) == (b.states, b.terminals, b.counts)
    assert seen
    if not reduce:
        assert any(f.estimate for f in seen)
        assert all(f.memory > 0 for f in seen)
        assert jobs > 1 or all(f.open > 0 for f in seen)
