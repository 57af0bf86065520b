"""A machine for small models: the successors of a state, written out.

It shares no code and no idea with ``refault.explore``: a model is compiled to flat code with
jumps. A state holds the value of each cell and, for each task, its place in the code, its
register and its loop counters.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from tests.explore.language import (
    MODULUS,
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


class Jump(NamedTuple):
    """Go on elsewhere."""

    to: int


class JumpUnless(NamedTuple):
    """Go on elsewhere unless the register has the value."""

    equal: int
    to: int


class Set(NamedTuple):
    """Start a loop counter."""

    counter: int
    value: int


class CountDown(NamedTuple):
    """Take one off the counter; jump while it is above zero."""

    counter: int
    to: int


class Code(NamedTuple):
    """Flat code; inside other code, an atomic block."""

    words: list[Any]
    counters: int


def flatten(body: Block) -> Code:
    """Turn nested words into flat code with jumps."""
    words: list[Any] = []
    counters = 0

    def emit(block: Block) -> None:
        nonlocal counters
        for word in block:
            match word:
                case If(equal, then, otherwise):
                    branch = len(words)
                    words.append(None)
                    emit(then)
                    end = len(words)
                    words.append(None)
                    words[branch] = JumpUnless(equal, len(words))
                    emit(otherwise)
                    words[end] = Jump(len(words))
                case Loop(rounds, inner):
                    counter, counters = counters, counters + 1
                    if rounds:
                        words.append(Set(counter, rounds))
                        head = len(words)
                        emit(inner)
                        words.append(CountDown(counter, head))
                case Retry(until, inner):
                    head = len(words)
                    emit(inner)
                    words.append(JumpUnless(until, head))
                case Scope(inner):
                    emit(inner)
                case Atomic(inner):
                    words.append(flatten(inner))
                case _:
                    words.append(word)

    emit(body)
    return Code(words, counters)


class At(NamedTuple):
    """Where a task stands; ``pc`` is the length of the code when it is done."""

    pc: int
    register: int
    counters: tuple[int, ...]


class State(NamedTuple):
    """Cells; mutex owners (task or -1); per reader-writer lock its mode and holders; tasks."""

    cells: tuple[int, ...]
    mutexes: tuple[int, ...]
    rwlocks: tuple[tuple[str, tuple[int, ...]], ...]
    tasks: tuple[At, ...]


class BrokenError(Exception):
    """A property failed: ``args[0]`` is its kind."""


ASSERTION, BAD_VALUE, USE = "assertion failure", "bad value", "use after free"
DEADLOCK, INVARIANT = "deadlock", "invariant violation"


class BlockedError(Exception):
    """The step is not possible yet."""


def put(row: tuple[Any, ...], at: int, value: Any) -> tuple[Any, ...]:
    """Change one place of a tuple."""
    return (*row[:at], value, *row[at + 1 :])


class Machine:
    """Gives the successors of states of a model."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.code = [flatten(task.body) for task in model.tasks]

    def initial(self) -> State:
        """Make the first state; raises ``BrokenError`` if a task fails before its first step."""
        model = self.model
        tasks = tuple(self.settle(c, At(0, 0, (0,) * c.counters)) for c in self.code)
        return State(model.cells, (-1,) * model.mutexes, (("", ()),) * model.rwlocks, tasks)

    def settle(self, code: Code, at: At) -> At:
        """Run local words until a visible one or the end."""
        pc, register, counters = at
        while pc < len(code.words):
            word = code.words[pc]
            pc += 1
            match word:
                case Jump(to):
                    pc = to
                case JumpUnless(equal, to):
                    pc = pc if register == equal else to
                case Set(counter, value):
                    counters = put(counters, counter, value)
                case CountDown(counter, to):
                    counters = put(counters, counter, counters[counter] - 1)
                    pc = to if counters[counter] > 0 else pc
                case Assert(value):
                    if register == value:
                        raise BrokenError(ASSERTION)
                case Fail(value):
                    if register == value:
                        raise BrokenError(USE)
                case _:
                    pc -= 1
                    break
        return At(pc, register, counters)

    def steps(self, state: State, task: int) -> Iterator[tuple[int, State | str]]:
        """Yield the steps of a task: (number of the choice, next state or kind of failure)."""
        code, at = self.code[task], state.tasks[task]
        if at.pc == len(code.words):
            return
        word = code.words[at.pc]
        if isinstance(word, Choose):
            for option in range(word.options):
                yield option, self.land(state, task, option)
            return
        try:
            if isinstance(word, Code):
                after, register = self.run_atomic(state, task, word, at.register)
            else:
                after, register = self.operate(state, task, word, at.register)
        except BlockedError:
            return
        except BrokenError as broken:
            yield 0, str(broken)
            return
        yield 0, self.land(after, task, register)

    def land(self, state: State, task: int, register: int) -> State | str:
        """Go on behind a visible word, up to the next."""
        at = state.tasks[task]
        try:
            there = self.settle(self.code[task], At(at.pc + 1, register, at.counters))
        except BrokenError as broken:
            return str(broken)
        return state._replace(tasks=put(state.tasks, task, there))

    def run_atomic(self, state: State, task: int, code: Code, register: int) -> tuple[State, int]:
        """Run a whole block in one go; ``BlockedError`` anywhere in it undoes it."""
        at = self.settle(code, At(0, register, (0,) * code.counters))
        while at.pc < len(code.words):
            state, register = self.operate(state, task, code.words[at.pc], at.register)
            at = self.settle(code, At(at.pc + 1, register, at.counters))
        return state, at.register

    def operate(self, s: State, me: int, word: Any, register: int) -> tuple[State, int]:
        """Do one visible word: the state after it, and the register."""
        match word:
            case Lock() | Unlock() | Trylock() | Break():
                return self.on_mutex(s, me, word, register)
            case Rlock() | Wlock() | Rwunlock():
                return self.on_rwlock(s, me, word, register)
        old = s.cells[word.cell]
        new, result = old, register
        match word:
            case Read():
                result = old
            case Write(_, value):
                new = value
            case Store(_, plus):
                new = (register + plus) % MODULUS
            case Add(_, plus):
                new = result = (old + plus) % MODULUS
            case Cas(_, expected, wanted):
                new, result = (wanted, 1) if old == expected else (old, 0)
            case Await(_, value):
                if old != value:
                    raise BlockedError
                result = old
            case Take():
                if old == 0:
                    raise BlockedError
                new = old - 1
            case Expect(_, value):
                if old != value:
                    raise BrokenError(BAD_VALUE)
        return s._replace(cells=put(s.cells, word.cell, new)), result

    def on_mutex(self, s: State, me: int, word: Any, register: int) -> tuple[State, int]:
        """Do a word of a mutex."""
        owner, result = s.mutexes[word.mutex], register
        match word:
            case Lock():
                if owner >= 0:
                    raise BlockedError
                owner = me
            case Unlock():
                owner = -1 if owner == me else owner
            case Trylock():
                owner, result = (me, 1) if owner < 0 else (owner, 0)
            case Break():
                owner = -1
        return s._replace(mutexes=put(s.mutexes, word.mutex, owner)), result

    def on_rwlock(self, s: State, me: int, word: Any, register: int) -> tuple[State, int]:
        """Do a word of a reader-writer lock."""
        mode, holders = s.rwlocks[word.rwlock]
        match word:
            case Rlock():
                if mode == "x" or me in holders:
                    raise BlockedError
                mode, holders = "r", tuple(sorted((*holders, me)))
            case Wlock():
                if holders:
                    raise BlockedError
                mode, holders = "x", (me,)
            case Rwunlock():
                holders = tuple(h for h in holders if h != me)
                mode = mode if holders else ""
        return s._replace(rwlocks=put(s.rwlocks, word.rwlock, (mode, holders))), register

    def done(self, state: State, task: int) -> bool:
        """Whether the task is at its end."""
        return state.tasks[task].pc == len(self.code[task].words)

    def breaks_invariant(self, state: State) -> bool:
        """Whether the forbidden pair of values is there."""
        never = self.model.never
        return never is not None and all(state.cells[c] == v for c, v in never)
