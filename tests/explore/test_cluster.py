"""Workers that are processes: a killed one loses nothing, and all see together what one sees."""

from __future__ import annotations

import importlib
import itertools
import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from bench import models
from hypothesis import HealthCheck, given, settings
from tests.explore.forked import ForkedCrew
from tests.explore.language import Model
from tests.explore.strategies import models as random_models
from tests.explore.translate import translate

from refault.explore import Program, UserError, check
from refault.explore.engines import cluster, on_ray, states
from refault.explore.engines.exploration import Build, Exploration, Options, Outcome
from refault.explore.engines.worker import split
from refault.explore.verdict import Limits

fast = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def in_small_pieces() -> Iterator[None]:
    """Small searches too are handed out, a little at a time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "ALONE", 0.0)
        patch.setattr(cluster, "SLICE", 0.0)
        yield


def alone(build: Build, reduce: bool) -> Outcome:
    search = states.StateSearch(
        Exploration(build), Limits(), Options(reduce=reduce, keep_final=True)
    )
    return search.outcome(search.run(60))


def together(build: Build, reduce: bool, doomed: int = 0, size: int = 2) -> Outcome:
    search = states.StateSearch(
        Exploration(build), Limits(), Options(reduce=reduce, keep_final=True)
    )
    crew = ForkedCrew(build, size, doomed)
    try:
        outcome = search.outcome_after(60, crew)
    finally:
        crew.abandon()
    assert crew.killed == doomed
    return outcome


def essence(outcome: Outcome) -> tuple[Any, ...]:
    return outcome.code, outcome.final, set(outcome.found), outcome.reached


@pytest.mark.parametrize("doomed", [0, 3])
@pytest.mark.parametrize("reduce", [False, True])
@pytest.mark.parametrize("build", [models.philosophers(6, 2), models.uffd(4, wake_on_eexist=False)])
def test_killed_workers_lose_nothing(build: Build, reduce: bool, doomed: int) -> None:
    one, two = alone(build, reduce), together(build, reduce, doomed)
    assert essence(two) == essence(one)
    assert two.workers == 2
    if not reduce:
        assert two.states == one.states
        assert two.transitions >= one.transitions


@fast
@given(random_models())
def test_random_models_are_searched_alike(model: Model) -> None:
    for reduce in (False, True):
        one, two = (how(translate(model), reduce) for how in (alone, together))
        assert essence(two) == essence(one)
        assert reduce or two.states == one.states


def test_an_error_in_the_model_is_told() -> None:
    def build(p: Program) -> None:
        x = p.cell("x", 0)

        def mistake() -> None:
            if x.read():
                raise OSError("a mistake")

        p.task("t", mistake)
        p.task("u", x.write, 1)

    with pytest.raises(UserError, match="a mistake"):
        together(build, False)


def test_workers_that_only_die_end_the_search() -> None:
    build = models.philosophers(7, 2)
    crew = ForkedCrew(build, 2, doomed=100, each=1)
    search = states.StateSearch(Exploration(build), Limits(), Options(reduce=False))
    with pytest.raises(UserError, match="die one after another"):
        search.outcome_after(60, crew)
    crew.abandon()


def test_a_stack_is_cut_into_what_is_left_of_it() -> None:
    exploration = Exploration(models.philosophers(5, 2))
    search = states.StateSearch(exploration, Limits(max_states=200), Options(reduce=False))
    search.run(60)
    (stack,) = exploration.tables.core.save()["stacks"]
    pieces = split(stack, 5, 4)
    assert len(pieces) == 4
    left = [[(f[0], f[1], f[2]) for f in piece if f[1] < 5] for piece in pieces]
    assert sorted(itertools.chain(*left)) == sorted((f[0], f[1], f[2]) for f in stack if f[1] < 5)


def test_without_ray_the_remedy_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(_name: str) -> None:
        raise ImportError

    monkeypatch.setattr(importlib, "import_module", missing)
    with pytest.raises(UserError, match="takes Ray") as told:
        check(models.philosophers(3), cluster="local")
    assert "refault[ray]" in told.value.remedy


@pytest.fixture(scope="module")
def ray() -> Iterator[Any]:
    """A Ray of two workers on this machine."""
    module = pytest.importorskip("ray", reason="refault[ray] is not installed")
    module.init(num_cpus=2, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    yield module
    module.shutdown()


@pytest.mark.filterwarnings("ignore")
def test_on_ray_a_killed_actor_loses_nothing(ray: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    build = models.philosophers(6, 2)
    submit, units = on_ray.RayCrew.submit, []

    def killing(self: on_ray.RayCrew, worker: int, unit: Any) -> None:
        submit(self, worker, unit)
        units.append(worker)
        if len(units) == 4:
            os.kill(ray.get(self.actors[worker].process.remote()), signal.SIGKILL)
        if len(units) == 6:
            ray.kill(self.actors[worker])

    monkeypatch.setattr(on_ray.RayCrew, "submit", killing)
    verdict = check(build, cluster="local", jobs=2, reduce=False, time=100)
    verdict.assert_finds("deadlock")
    assert verdict.evidence.states == alone(build, False).states
    assert verdict.evidence.workers == 2
    assert len(units) > 6


@pytest.mark.filterwarnings("ignore")
def test_on_ray_with_the_reduction(ray: Any) -> None:
    check(models.uffd(4), cluster="local", jobs=2, time=100).assert_holds()
