"""The language of small models: programs as data, for two readers that share no code.

``bruteforce`` enumerates a model; ``translate`` makes a program for the explorer of it. Integer
cells count modulo ``MODULUS``. Each task has one register, and each word that has a result leaves
it there. Words from ``Read`` to ``Choose`` are visible: one step each. The others are local, and
``Atomic`` makes one step of what is inside.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

MODULUS = 3
OWN = 2

Block: TypeAlias = tuple[Any, ...]


class Read(NamedTuple):
    """The register becomes the value."""

    cell: int


class Write(NamedTuple):
    """The cell becomes ``value``."""

    cell: int
    value: int


class Store(NamedTuple):
    """The cell becomes the register and some."""

    cell: int
    plus: int


class Add(NamedTuple):
    """The cell grows; the register becomes its new value."""

    cell: int
    plus: int


class Cas(NamedTuple):
    """Compare and exchange; the register tells success."""

    cell: int
    old: int
    new: int


class Await(NamedTuple):
    """Wait for a value."""

    cell: int
    value: int


class Take(NamedTuple):
    """Wait while the cell is zero, then take one off."""

    cell: int


class Expect(NamedTuple):
    """*Bad value* unless the cell has the value."""

    cell: int
    value: int


class Lock(NamedTuple):
    """Wait for the mutex and take it."""

    mutex: int


class Unlock(NamedTuple):
    """Release the mutex; a stranger does nothing."""

    mutex: int


class Trylock(NamedTuple):
    """Take the mutex if it is free; the register tells success."""

    mutex: int


class Break(NamedTuple):
    """Free the mutex, whoever holds it."""

    mutex: int


class Rlock(NamedTuple):
    """Take the lock with other readers; not twice."""

    rwlock: int


class Wlock(NamedTuple):
    """Take the lock alone."""

    rwlock: int


class Rwunlock(NamedTuple):
    """Give up what one holds of the lock."""

    rwlock: int


class Choose(NamedTuple):
    """Set the register to any number below ``options``."""

    options: int


class Assert(NamedTuple):
    """The register must not have this value."""

    not_equal: int


class Fail(NamedTuple):
    """*Use after free* if the register has this value."""

    equal: int


class If(NamedTuple):
    """Branch on the register."""

    equal: int
    then: Block
    otherwise: Block


class Loop(NamedTuple):
    """Go round a fixed number of times."""

    rounds: int
    body: Block


class Retry(NamedTuple):
    """Go round until the register has the value."""

    until: int
    body: Block


class Scope(NamedTuple):
    """Change nothing: a function call."""

    body: Block


class Atomic(NamedTuple):
    """Do all of it in one step, or wait."""

    body: Block


class Task(NamedTuple):
    """What a task does; a daemon may be left waiting at the end."""

    body: Block
    daemon: bool = False


class Model(NamedTuple):
    """Initial values of cells, numbers of locks, tasks.

    ``never``: two (cell, value) pairs that must not hold at the same time, or none. The first
    ``identical`` tasks are one program, with a cell of its own each from ``OWN`` on.
    """

    cells: tuple[int, ...]
    mutexes: int
    rwlocks: int
    tasks: tuple[Task, ...]
    never: tuple[tuple[int, int], tuple[int, int]] | None = None
    identical: int = 0
