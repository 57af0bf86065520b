"""Models that some search once got wrong, made small: they stay right."""

from __future__ import annotations

import pytest
from tests.explore.agreement import FUTURES, PLAIN, REDUCED, TRACES, agree, enumerated
from tests.explore.language import (
    Assert,
    Atomic,
    Block,
    Choose,
    Lock,
    Model,
    Read,
    Retry,
    Rlock,
    Rwunlock,
    Scope,
    Take,
    Task,
    Trylock,
    Unlock,
    Write,
)
from tests.explore.translate import translate

from refault.explore import check


def of(*bodies: Block) -> Model:
    """A model of these tasks over two cells, a mutex and a reader-writer lock."""
    return Model((0, 0), 1, 1, tuple(Task(body) for body in bodies))


ONCE_WRONG = {
    "a scope that ends is not the scope around it that ends": of(
        (Scope((Scope(()), Scope((Rlock(0), Rwunlock(0))))), Rlock(0), Rwunlock(0)), (Read(0),)
    ),
    "an atomic step can be stuck half way": of((Read(0),), (Atomic((Read(0), Take(0))),)),
    "a task can fail before its first step": of((Read(0),), (Assert(0), Read(1))),
    "a task can be done before its first step": of((Read(0),), ()),
    "an atomic step overtakes what blocks its second half": of(
        (Trylock(0), Read(0)), (Atomic((Write(0, 0), Lock(0))),)
    ),
    "tasks without a step are done": of((), ()),
    "an invariant looks at its second cell only when the first one is bad": Model(
        (0, 2), 0, 0, (Task((Write(1, 0),)), Task((Write(0, 2),))), never=((0, 2), (1, 2))
    ),
    "choices in an endless loop do not multiply": of(
        (Retry(2, (Lock(0), Unlock(0), Choose(2), Read(0))),), (Read(1),)
    ),
    "choices in an endless loop that somebody ends": of(
        (Retry(2, (Choose(2), Choose(2), Read(0))),), (Write(0, 1), Write(0, 2))
    ),
}


@pytest.mark.parametrize("name", ONCE_WRONG)
@pytest.mark.parametrize("search", [PLAIN, REDUCED, FUTURES], ids=["plain", "reduced", "futures"])
def test_what_once_was_wrong_stays_right(name: str, search: dict[str, object]) -> None:
    """The searches of states agree with the enumeration."""
    agree(enumerated(ONCE_WRONG[name]), search)


@pytest.mark.parametrize("name", ONCE_WRONG)
def test_it_stays_right_for_the_search_of_traces(name: str) -> None:
    """That one agrees too, or says that a run does not end."""
    known = enumerated(ONCE_WRONG[name])
    if not known.forever.endless:
        agree(known, TRACES)
        return
    verdict = check(translate(known.model), **TRACES)
    assert verdict.kind == "inconclusive"
    assert "does not end" in verdict.reason
