"""Small models as programs for the explorer: the second reader of the language."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

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
    Trylock,
    Unlock,
    Wlock,
    Write,
)

from refault.explore import (
    BLOCKED,
    Cell,
    Names,
    Program,
    View,
    Violation,
    atomic,
    choose,
    renamed_in_order,
    restart,
    scope,
)


class Rw(NamedTuple):
    """Who holds a reader-writer lock, and how; the holders in order of their names."""

    mode: str = ""
    holders: tuple[str, ...] = ()

    def renamed(self, names: Names) -> Rw:
        """The same with other holders."""
        return renamed_in_order(self, names, "holders")


def _mutex_holders(owner: str | None) -> dict[str, Any]:
    return {owner: "x"} if owner else {}


def _rw_holders(value: Rw) -> dict[str, Any]:
    mode, holders = value
    return dict.fromkeys(holders, mode)


def _add(old: int, plus: int) -> tuple[int, int]:
    new = (old + plus) % MODULUS
    return new, new


def _cas(old: int, expected: int, new: int) -> tuple[int, int]:
    return (new, 1) if old == expected else (old, 0)


def _equals(old: int, value: int) -> bool:
    return old == value


def _take(old: int) -> Any:
    return (old - 1, None) if old else BLOCKED


def _expect(old: int, value: int) -> tuple[int, None]:
    if old != value:
        raise Violation("bad value", f"{old} instead of {value}")
    return old, None


def _lock(owner: str | None, me: str) -> Any:
    return BLOCKED if owner else (me, None)


def _unlock(owner: str | None, me: str) -> tuple[str | None, None]:
    return (None if owner == me else owner), None


def _trylock(owner: str | None, me: str) -> tuple[str, int]:
    return (owner, 0) if owner else (me, 1)


def _rlock(value: Rw, me: str) -> Any:
    mode, holders = value
    if mode == "x" or me in holders:
        return BLOCKED
    return Rw("r", tuple(sorted((*holders, me)))), None


def _wlock(value: Rw, me: str) -> Any:
    return BLOCKED if value.holders else (Rw("x", (me,)), None)


def _rwunlock(value: Rw, me: str) -> tuple[Rw, None]:
    mode, holders = value
    left = tuple(h for h in holders if h != me)
    return Rw(mode if left else "", left), None


class Interpreter:
    """One task of a model; ``where`` in ``run`` says which word it is, for restart points."""

    def __init__(self, me: str, cells: list[Cell[int]], mutexes: list[Any], rws: list[Any]) -> None:
        self.me = me
        self.cells = cells
        self.mutexes = mutexes
        self.rws = rws

    def task(self, body: Block) -> None:
        """Run a whole task."""
        self.run(body, 0, ())

    def run(self, block: Block, register: int, where: tuple[int, ...]) -> int:
        """Run a block, from the register before it to the register after it."""
        for i, word in enumerate(block):
            register = self.word(word, register, (*where, i))
        return register

    def word(self, word: Any, register: int, where: tuple[int, ...]) -> int:
        """Run one word."""
        match word:
            case Assert(value):
                assert register != value, "the register has the wrong value"
            case Fail(value):
                if register == value:
                    raise Violation("use after free")
            case If(equal, then, otherwise):
                return self.run(then if register == equal else otherwise, register, where)
            case Loop(rounds, body):
                for left in range(rounds):
                    register = self.run(body, register, (*where, left))
            case Retry(until, body):
                return self.retry(until, body, register, where)
            case Scope(body):
                return self.scoped(body, register, where)
            case Atomic(body):
                with atomic():
                    return self.run(body, register, where)
            case Choose(options):
                return int(choose(*range(options)))
            case _:
                return self.operate(word, register)
        return register

    @scope
    def scoped(self, body: Block, register: int, where: tuple[int, ...]) -> int:
        """Run a block as a function call."""
        return self.run(body, register, where)

    def retry(self, until: int, body: Block, register: int, where: tuple[int, ...]) -> int:
        """Run a block until the register is right; all that lives across rounds is named."""
        while True:
            restart(where, register)
            register = self.run(body, register, where)
            if register == until:
                return register

    def operate(self, word: Any, register: int) -> int:
        """Do a visible word."""
        result: int | None = None
        match word:
            case Read(cell):
                result = self.cells[cell].read()
            case Write(cell, value):
                self.cells[cell].write(value)
            case Store(cell, plus):
                self.cells[cell].write((register + plus) % MODULUS)
            case Add(cell, plus):
                result = self.cells[cell].update(_add, plus)
            case Cas(cell, old, new):
                result = self.cells[cell].update(_cas, old, new)
            case Await(cell, value):
                result = self.cells[cell].wait(_equals, value)
            case Take(cell):
                self.cells[cell].update(_take)
            case Expect(cell, value):
                self.cells[cell].update(_expect, value)
            case Lock(m):
                self.mutexes[m].update(_lock, self.me)
            case Unlock(m):
                self.mutexes[m].update(_unlock, self.me)
            case Trylock(m):
                result = self.mutexes[m].update(_trylock, self.me)
            case Break(m):
                self.mutexes[m].write(None)
            case Rlock(rw):
                self.rws[rw].update(_rlock, self.me)
            case Wlock(rw):
                self.rws[rw].update(_wlock, self.me)
            case Rwunlock(rw):
                self.rws[rw].update(_rwunlock, self.me)
        return register if result is None else result


def translate(model: Model) -> Callable[[Program], None]:
    """Make a ``build`` of a model."""

    def build(p: Program) -> None:
        cells = [p.cell(f"c{i}", v) for i, v in enumerate(model.cells)]
        mutexes = [p.cell(f"m{i}", None, holders=_mutex_holders) for i in range(model.mutexes)]
        rws = [p.cell(f"rw{i}", Rw(), holders=_rw_holders) for i in range(model.rwlocks)]
        tasks = []
        for i, task in enumerate(model.tasks):
            worker = Interpreter(f"t{i}", cells, mutexes, rws)
            tasks.append(p.task(f"t{i}", worker.task, task.body, daemon=task.daemon))
        if model.identical:
            own = [[cells[OWN + i]] for i in range(model.identical)]
            p.identical(*tasks[: model.identical], own=own)
        if model.never is not None:
            (a, va), (b, vb) = model.never

            def holds(view: View) -> bool:
                return not (view[cells[a]] == va and view[cells[b]] == vb)

            p.invariant("never", holds)

    return build
