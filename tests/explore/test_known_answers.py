"""Programs whose answers are known from elsewhere: by mathematics, or from other checkers."""

from __future__ import annotations

from math import comb

import pytest
from bench import models
from tests.explore.agreement import enumerated
from tests.explore.language import Atomic, Model, Read, Scope, Take, Task

from refault.explore import Verdict, check

BOTH = pytest.mark.parametrize("reduce", [False, True], ids=["plain", "reduced"])


def ends(verdict: Verdict, *cells: str) -> set[tuple[object, ...]]:
    """The values of some cells in the terminal states."""
    assert verdict.terminals is not None
    return {tuple(dict(values)[c] for c in cells) for values, _ in verdict.terminals}


def deadlocks(verdict: Verdict, tasks: int) -> int:
    """In how many terminal states somebody is left."""
    assert verdict.terminals is not None
    return sum(len(done) < tasks for _, done in verdict.terminals)


@BOTH
@pytest.mark.parametrize("n", range(3, 9))
def test_philosophers_starve_in_one_way_only(n: int, reduce: bool) -> None:
    """With one meal each, the one deadlock is that everybody has the left fork."""
    verdict = check(models.philosophers(n), reduce=reduce, keep_terminals=True)
    verdict.assert_finds("deadlock")
    assert deadlocks(verdict, n) == 1
    assert verdict.trace is not None
    assert (verdict.trace.switches, verdict.trace.steps) == (n - 1, n)


@BOTH
@pytest.mark.parametrize("n", [4, 6])
def test_philosophers_of_two_rounds_starve_in_any_of_them(n: int, reduce: bool) -> None:
    """Each may be in the first or in the second round when all have the left fork: 2^n states."""
    verdict = check(models.philosophers(n, 2), reduce=reduce, keep_terminals=True)
    assert deadlocks(verdict, n) == 2**n


@BOTH
@pytest.mark.parametrize("n", range(3, 7))
def test_a_philosopher_who_begins_on_the_right_saves_them_all(n: int, reduce: bool) -> None:
    """The forks then have an order."""
    check(models.philosophers(n, swapped=True), reduce=reduce).assert_holds()


@pytest.mark.parametrize(
    ("n", "states"), [(5, 1_890), (8, 99_651), pytest.param(10, 1_390_501, marks=pytest.mark.slow)]
)
def test_lastzero_has_the_states_that_others_count(n: int, states: int) -> None:
    """Rumur and TLC agree on these, with each read and each write one step."""
    verdict = check(models.lastzero(n), engine="states", reduce=False)
    verdict.assert_holds()
    assert verdict.evidence.states == states


@pytest.mark.parametrize("n", [2, 5, 7])
def test_lastzero_ends_alike_with_and_without_reduction(n: int) -> None:
    """What the reader leaves out of account is left out by the reduction too."""
    plain = check(models.lastzero(n), reduce=False, keep_terminals=True)
    reduced = check(models.lastzero(n), reduce=True, keep_terminals=True)
    assert plain.terminals == reduced.terminals


@pytest.mark.parametrize("n", [2, 5, 8])
def test_one_mutex_lets_one_in(n: int) -> None:
    """Everybody before or behind the lock, or one inside: 2^n + n 2^(n-1) states."""
    verdict = check(models.lockn(n), engine="states", reduce=False)
    verdict.assert_holds()
    assert verdict.evidence.states == 2**n + n * 2 ** (n - 1)


@pytest.mark.parametrize("n", [2, 5, 8])
def test_readers_each_stand_in_one_of_three_places(n: int) -> None:
    """The writer in one of two, and nobody remembers what was read: 2·3^n states."""
    verdict = check(models.readers(n), engine="states", reduce=False)
    assert verdict.evidence.states == 2 * 3**n


@BOTH
@pytest.mark.parametrize("n", range(1, 6))
def test_a_counter_without_lock_ends_anywhere_from_one_to_n(n: int, reduce: bool) -> None:
    """All but one update can be lost."""
    verdict = check(models.counter(n), reduce=reduce, keep_terminals=True)
    verdict.assert_holds()
    assert ends(verdict, "x") == {(x,) for x in range(1, n + 1)}


@BOTH
@pytest.mark.parametrize("n", [2, 3])
def test_a_copy_that_found_the_page_must_wake(n: int, reduce: bool) -> None:
    """The monitor that wakes nobody on -EEXIST loses a faulter, the other one none."""
    check(models.uffd(n), reduce=reduce).assert_holds()
    check(models.uffd(n, wake_on_eexist=False), reduce=reduce).assert_finds("lost wakeup")


def test_independent_tasks_make_a_lattice() -> None:
    """Two tasks of four steps and of six, nothing shared: a grid, and one path if reduced."""
    reads = Task((Read(0),) * 4), Task((Read(1),) * 6)
    known = enumerated(Model((0, 0), 0, 0, reads))
    assert len(known.graph.steps) == 5 * 7
    assert len(known.truth.terminals) == 1


def test_the_enumeration_counts_choices_of_places() -> None:
    """Three tasks that take one token of two: which two got one."""
    model = Model((2,), 0, 0, (Task((Take(0),)),) * 3)
    known = enumerated(model)
    assert len(known.truth.terminals) == comb(3, 2)
    assert known.costs == {"deadlock": (1, 2)}


def test_the_enumeration_takes_back_half_an_atomic_step() -> None:
    """The second half has to wait, so the first does not happen."""
    model = Model((1,), 0, 0, (Task((Atomic((Take(0), Take(0))),)), Task((Scope((Read(0),)),))))
    (terminal,) = enumerated(model).truth.terminals
    assert terminal == ((("c0", 1),), frozenset({"t1"}))
