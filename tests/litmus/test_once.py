"""One run of a program on the model: it is one of those that a search finds."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, reject, settings
from hypothesis import strategies as st

from refault.explore import ModelError
from refault.litmus import Litmus
from refault.litmus.model import allowed
from refault.litmus.model.once import Once
from refault.litmus.program import Program
from refault.live.fuzz import Recipe, generate
from refault.live.fuzz.compare import SPACE
from refault.live.fuzz.generate import all_steps
from refault.scenarios import Scenario, all_scenarios

SCENARIOS = [s for s in all_scenarios() if s.live is not None and "" in s.expect]


@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_one_run_of_a_scenario_is_one_of_all(scenario: Scenario) -> None:
    assert scenario.live is not None
    once = Once(scenario.live)
    outcomes = allowed(scenario.live).outcomes
    assert once.run(scenario.live) in outcomes
    assert once.run(scenario.live, last=True) in outcomes


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chance=st.randoms(use_true_random=False))
def test_one_run_is_one_of_all(chance: random.Random) -> None:
    program = generate(chance, Recipe(steps=5))
    once = Once(program)
    found = {once.run(program), once.run(program, last=True)}
    try:
        outcomes = allowed(program, time=5).outcomes
    except ModelError:
        reject()
    assert found <= outcomes


def test_a_run_knows_nothing_of_the_one_before() -> None:
    programs = [generate(random.Random(seed), Recipe(forks=0)) for seed in range(12)]
    kept: dict[Program, Once] = {}
    first = []
    for program in programs:
        kind = program._replace(moves=())
        if kind not in kept:
            kept[kind] = Once(all_steps(kind), space=SPACE)
        first.append(kept[kind].run(program))
    for program, before in reversed([*zip(programs, first, strict=True)]):
        assert kept[program._replace(moves=())].run(program) == before


def test_who_spins_lets_others_go_on() -> None:
    t = Litmus()
    p = t.memory(kind="shmem", shared=True, modes="wp", contents="cached")
    program = t.thread("program")
    program.load(p)
    t.monitor.protect(p)
    program.do("guard", "guard", at=p[0], pages=1)
    t.monitor.status(program)
    outcome = dict(Once(t.program).run(t.program))
    assert outcome["status"] == "spins"
    assert outcome["guard"] == "blocked"


def test_two_who_are_woken_at_once_can_go_on_in_either_order() -> None:
    t = Litmus()
    p, a, b = t.memory(), t.thread("a"), t.thread("b")
    a.load(p)
    b.store(p, 9)
    t.monitor.copy(p)
    once = Once(t.program)
    loads = {dict(once.run(t.program, last=last))["load"] for last in (False, True)}
    assert loads == {"copied", "9"}
