"""A test suite is worth what it catches: reductions broken on purpose must not pass it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import Phase, find, settings
from hypothesis.errors import NoSuchExample
from tests.explore.agreement import FUTURES, REDUCED, agree, enumerated
from tests.explore.language import (
    Add,
    Await,
    Break,
    Cas,
    If,
    Lock,
    Model,
    Read,
    Rlock,
    Rwunlock,
    Store,
    Task,
    Trylock,
    Unlock,
    Write,
)
from tests.explore.strategies import models
from tests.explore.test_random_models import patient

from refault.explore import ModelError
from refault.explore.engines import states
from refault.explore.tables import conflicts, discipline, futures, orbits, values

Breakage = Callable[[pytest.MonkeyPatch], None]


def everything_is_solo(patch: pytest.MonkeyPatch) -> None:
    """Whoever comes first is explored alone."""
    patch.setattr(discipline.Discipline, "_is_solo", lambda *_: True)


def invariants_watch_nothing(patch: pytest.MonkeyPatch) -> None:
    """The order of changes to what an invariant reads is thought not to matter."""
    patch.setattr(discipline.Discipline, "observe", lambda *_: None)


def results_do_not_count(patch: pytest.MonkeyPatch) -> None:
    """Two orders are taken for one if they leave the same value, whatever was read."""
    patch.setattr(discipline, "_result", lambda _: None)


def readers_exclude_each_other(patch: pytest.MonkeyPatch) -> None:
    """Two holders in read mode are thought never to meet."""

    def exclude(_self: object, mine: Any, theirs: Any) -> bool:
        return bool({cell for cell, _ in mine} & {cell for cell, _ in theirs})

    patch.setattr(discipline.Discipline, "_exclude", exclude)


def locks_are_never_taken_away(patch: pytest.MonkeyPatch) -> None:
    """A lock that one task takes away from another is trusted all the same."""
    patch.setattr(discipline.Discipline, "_distrust", lambda *_: None)


def nothing_conflicts(patch: pytest.MonkeyPatch) -> None:
    """Whatever may come of the value is thought to leave the operation as it is."""
    patch.setattr(conflicts._Cell, "_overtaken", lambda *_: 0)


def only_the_present_value_counts(patch: pytest.MonkeyPatch) -> None:
    """What others may make of the value first is not looked at."""
    patch.setattr(values.Values, "of", lambda *_: frozenset())


def nobody_lets_go(patch: pytest.MonkeyPatch) -> None:
    """A blocked member of a set is thought to stay so, whoever is left out."""
    patch.setattr(conflicts._Cell, "changes", lambda _self, met: dict.fromkeys(met, 0))


def futures_hold_nothing(patch: pytest.MonkeyPatch) -> None:
    """Nothing is thought to come any more."""
    patch.setattr(states.StateSearch, "_outgrown", lambda self: self.restarts < 1)
    patch.setattr(futures, "_reach", lambda tables, _: [0] * len(tables.nodes))


def declarations_are_believed(patch: pytest.MonkeyPatch) -> None:
    """Identical is who is called so."""
    patch.setattr(orbits.Orbits, "close", lambda *_: None)
    patch.setattr(orbits.Orbits, "_check_start", lambda *_: None)


def judgements_are_believed(patch: pytest.MonkeyPatch) -> None:
    """What an invariant says of a state it is thought to say of all its images."""
    patch.setattr(orbits.Orbits, "check_finding", lambda *_: None)


RACE = Model((0, 0, 0), 0, 0, (Task((Write(0, 1),)), Task((Write(0, 2),))))
"""Two writes: the last one stays."""

PASSERS_BY = Model(
    (0, 0, 0),
    0,
    0,
    (Task((Write(0, 1), Write(0, 0))), Task((Write(1, 1), Write(1, 0)))),
    never=((0, 1), (1, 1)),
)
"""Each task uses a cell of its own, but an invariant sees both."""

TICKETS = Model((0, 0, 0), 0, 0, (Task((Add(0, 1), Store(1, 0))), Task((Add(0, 1), Store(2, 0)))))
"""Two tasks draw a number: the sum is the same in any order, who has which number is not."""

READERS_WHO_WRITE = Model(
    (0, 0, 0),
    0,
    1,
    (Task((Rlock(0), Write(0, 1), Rwunlock(0))), Task((Rlock(0), Write(0, 2), Rwunlock(0)))),
)
"""Both hold the lock to read, and both write."""

BURGLAR = Model(
    (0, 0, 0),
    1,
    0,
    (
        Task((Break(0), Lock(0), Write(0, 1), Unlock(0))),
        Task((Lock(0), Read(0), Store(0, 0), Unlock(0))),
    ),
)
"""One task breaks a mutex open that the other may hold."""

CAUTIOUS_BURGLAR = Model(
    (0, 0, 0),
    1,
    0,
    (
        Task((Read(0), Lock(0), Write(0, 1), Unlock(0))),
        Task((Break(0), Lock(0), Read(0), Store(0, 0), Unlock(0))),
    ),
)
"""The same, where the very trust in the mutex keeps the search from seeing it broken open."""

COUNTED = Model((0, 0, 0), 0, 0, (Task((Cas(0, 2, 0), Store(1, 0))), Task((Add(0, 1), Add(0, 1)))))
"""At zero a look for two and a step of the count commute; after that step they do not."""

GATE = Model(
    (0, 0, 0),
    0,
    0,
    (
        Task((Write(1, 2),)),
        Task((Await(0, 1), Write(1, 1))),
        Task((Read(2), Write(0, 1))),
        Task((Write(2, 1),)),
    ),
)
"""The first two would race if the third let the second in."""

ODD_ONE_OUT = Model(
    (0, 0, 0, 0),
    1,
    0,
    (
        Task((Trylock(0), If(0, (Write(1, 1),), ()))),
        Task((Trylock(0), If(0, (Write(1, 2),), ()))),
    ),
    identical=2,
)
"""The one that loses writes something, but not the same."""

UNFAIR = Model(
    (0, 0, 0, 0),
    0,
    0,
    (Task((Add(0, 1), Store(2, 0))), Task((Add(0, 1), Store(3, 0)))),
    never=((2, 2), (2, 2)),
    identical=2,
)
"""Two tasks that draw numbers; the invariant is that the first does not draw the second one."""

CAUGHT_BY = [
    (everything_is_solo, RACE),
    (invariants_watch_nothing, PASSERS_BY),
    (results_do_not_count, TICKETS),
    (readers_exclude_each_other, READERS_WHO_WRITE),
    (locks_are_never_taken_away, BURGLAR),
    (locks_are_never_taken_away, CAUTIOUS_BURGLAR),
]


@pytest.mark.parametrize(("breakage", "model"), CAUGHT_BY)
def test_a_fault_has_a_model_that_shows_it(
    breakage: Breakage, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sound reduction passes, the broken one does not."""
    known = enumerated(model)
    agree(known, REDUCED)
    breakage(monkeypatch)
    with pytest.raises(AssertionError):
        agree(known, REDUCED)


@pytest.mark.parametrize(
    ("breakage", "model"),
    [
        (nothing_conflicts, RACE),
        (only_the_present_value_counts, COUNTED),
        (nobody_lets_go, GATE),
        (futures_hold_nothing, RACE),
        (declarations_are_believed, ODD_ONE_OUT),
        (judgements_are_believed, UNFAIR),
    ],
)
def test_a_fault_of_the_futures_or_the_symmetry_has_a_model_that_shows_it(
    breakage: Breakage, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a false declaration the sound check says that it is false."""
    known = enumerated(model)
    if model in (ODD_ONE_OUT, UNFAIR):
        with pytest.raises(ModelError, match="identical tasks"):
            agree(known, FUTURES)
    else:
        agree(known, FUTURES)
    breakage(monkeypatch)
    with pytest.raises(AssertionError):
        agree(known, FUTURES)


def _disagrees(model: Model) -> bool:
    known = enumerated(model)
    try:
        agree(known, REDUCED)
    except Exception:
        return True
    return False


def _caught(examples: int) -> bool:
    hunt = settings(
        patient, max_examples=examples, derandomize=True, database=None, phases=[Phase.generate]
    )
    try:
        find(models(), _disagrees, settings=hunt)
    except NoSuchExample:
        return False
    return True


@pytest.mark.parametrize(
    "breakage",
    [everything_is_solo, results_do_not_count],
    ids=lambda b: b.__name__,
)
def test_random_models_catch_a_coarse_fault(
    breakage: Breakage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two hundred models, as in the fast suite, suffice."""
    breakage(monkeypatch)
    assert _caught(200)


@pytest.mark.slow
@pytest.mark.parametrize(
    "breakage",
    [invariants_watch_nothing, readers_exclude_each_other, locks_are_never_taken_away],
    ids=lambda b: b.__name__,
)
def test_random_models_catch_a_fine_fault(
    breakage: Breakage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults that need a rare pattern take some thousands."""
    breakage(monkeypatch)
    assert _caught(5_000)
