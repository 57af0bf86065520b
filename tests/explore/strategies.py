"""Random small models: few cells, few values, so that tasks meet."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy
from tests.explore.language import (
    MODULUS,
    OWN,
    Add,
    Assert,
    Atomic,
    Await,
    Block,
    Break,
    Cas,
    Choose,
    Expect,
    Fail,
    If,
    Lock,
    Loop,
    Model,
    Read,
    Retry,
    Rlock,
    Rwunlock,
    Scope,
    Store,
    Take,
    Task,
    Trylock,
    Unlock,
    Wlock,
    Write,
)

CELLS, MUTEXES, RWLOCKS = 3, 2, 1

cell = st.integers(0, CELLS - 1)
mutex = st.integers(0, MUTEXES - 1)
rwlock = st.integers(0, RWLOCKS - 1)
value = st.integers(0, MODULUS - 1)


def _words(cell: SearchStrategy[int]) -> SearchStrategy[object]:
    """Words on a cell that never wait."""
    return st.one_of(
        st.builds(Read, cell),
        st.builds(Write, cell, value),
        st.builds(Store, cell, value),
        st.builds(Add, cell, value),
        st.builds(Cas, cell, value, value),
    )


free = _words(cell)
mutex_words = st.one_of(
    st.builds(Trylock, mutex), st.builds(Unlock, mutex), st.builds(Break, mutex)
)
waiting = st.one_of(
    st.builds(Await, cell, value),
    st.builds(Take, cell),
    st.builds(Lock, mutex),
    st.builds(Rlock, rwlock),
    st.builds(Wlock, rwlock),
    st.builds(Rwunlock, rwlock),
)
rare = st.one_of(st.builds(Expect, cell, value), st.builds(Choose, st.integers(1, 3)))
local = st.one_of(st.builds(Assert, value), st.builds(Fail, value))
visible = st.one_of(free, free, free, mutex_words, waiting)


def block(words: SearchStrategy[object], low: int, high: int) -> SearchStrategy[Block]:
    """Put a few words in a row."""
    return st.lists(words, min_size=low, max_size=high).map(tuple)


def _started(first: SearchStrategy[object], then: SearchStrategy[Block]) -> SearchStrategy[Block]:
    return st.tuples(first, then).map(lambda pair: (pair[0], *pair[1]))


def _guarded(m: int) -> SearchStrategy[Block]:
    """Touch the cell of a mutex while holding that mutex, as disciplined code does."""
    return block(_words(st.just(m)), 1, 3).map(lambda b: (Lock(m), *b, Unlock(m)))


def _critical_section(words: SearchStrategy[object]) -> SearchStrategy[Block]:
    inner = block(words, 0, 3)
    shared = block(_words(st.just(CELLS - 1)), 1, 2)
    return st.one_of(
        mutex.flatmap(_guarded),
        mutex.flatmap(_guarded),
        st.tuples(mutex, inner).map(lambda p: (Lock(p[0]), *p[1], Unlock(p[0]))),
        st.builds(Read, cell).map(lambda w: (Rlock(0), w, Rwunlock(0))),
        shared.map(lambda b: (Rlock(0), *b, Rwunlock(0))),
        shared.map(lambda b: (Wlock(0), *b, Rwunlock(0))),
    )


def _atomic() -> SearchStrategy[Atomic]:
    branch = st.builds(If, value, block(visible, 0, 1), block(visible, 0, 1))
    tail = st.one_of(visible, local, branch)
    return st.builds(Atomic, _started(visible, block(tail, 1, 2)))


def _nest(words: SearchStrategy[object]) -> SearchStrategy[object]:
    inner = block(words, 1, 3)
    return st.one_of(
        st.builds(If, value, inner, block(words, 0, 2)),
        st.builds(Loop, st.integers(0, 2), inner),
        st.builds(Retry, value, _started(visible, block(words, 0, 2))),
        st.builds(Scope, block(words, 0, 3)),
        _critical_section(words).map(Scope),
    )


flat = st.one_of(free, free, visible, visible, rare, local, _atomic())
word = st.recursive(flat, _nest, max_leaves=5)


def _joined(pieces: list[Block]) -> Block:
    return tuple(w for piece in pieces for w in piece)


body = st.lists(
    st.one_of(word.map(lambda w: (w,)), mutex.flatmap(_guarded), _critical_section(word)),
    min_size=2,
    max_size=4,
).map(_joined)

never = st.one_of(st.none(), st.none(), st.tuples(st.tuples(cell, value), st.tuples(cell, value)))


@st.composite
def models(draw: st.DrawFn, tasks: int = 3) -> Model:
    """Two or three tasks over three cells, two mutexes and a reader-writer lock."""
    return Model(
        cells=tuple(draw(value) for _ in range(CELLS)),
        mutexes=MUTEXES,
        rwlocks=RWLOCKS,
        tasks=tuple(
            Task(draw(body), draw(st.sampled_from((False, False, True))))
            for _ in range(draw(st.integers(2, tasks)))
        ),
        never=draw(never),
    )


def at_own(word: Any, cell: int) -> Any:
    """The word with another cell in place of ``OWN``."""
    if isinstance(word, tuple) and not hasattr(word, "_fields"):
        return tuple(at_own(w, cell) for w in word)
    if not isinstance(word, tuple):
        return word
    changes = {
        name: cell if name == "cell" and value == OWN else at_own(value, cell)
        for name, value in word._asdict().items()  # type: ignore[attr-defined]
    }
    return word._replace(**changes)  # type: ignore[attr-defined]


@st.composite
def symmetric_models(draw: st.DrawFn, copies: int = 3) -> Model:
    """Two or three copies of one task, each with a cell of its own, and perhaps another task."""
    body_of_all, daemon = draw(body), draw(st.sampled_from((False, False, True)))
    n = draw(st.integers(2, copies))
    tasks = [Task(at_own(body_of_all, OWN + i), daemon) for i in range(n)]
    if draw(st.booleans()):
        tasks.append(Task(at_own(draw(body), 0), draw(st.booleans())))
    shared, first = [draw(value) for _ in range(OWN)], draw(value)
    some = st.tuples(st.integers(0, OWN - 1), value)
    return Model(
        cells=(*shared, *[first] * n),
        mutexes=MUTEXES,
        rwlocks=RWLOCKS,
        tasks=tuple(tasks),
        never=draw(st.one_of(st.none(), st.none(), st.tuples(some, some))),
        identical=n,
    )
