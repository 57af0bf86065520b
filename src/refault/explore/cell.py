"""Cells: the only place where tasks share anything."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from types import FunctionType
from typing import TYPE_CHECKING, Any, Generic, Literal, TypeVar

from .errors import ModelError
from .keys import value_key
from .operation import BLOCKED, Blocked, Op, argument_key, function_key, typed
from .runtime import perform
from .where import caller_place, describe

if TYPE_CHECKING:
    from .program import Program

T = TypeVar("T")
R = TypeVar("R")

Mode = Literal["x", "r"]
Holders = Callable[[Any], Mapping[str, Mode]]


def _read(old: T) -> tuple[T, T]:
    return old, old


def _write(_old: T, new: T) -> tuple[T, None]:
    return new, None


def _wait(old: Any, pred: Callable[..., bool], *args: Any) -> Any:
    return (old, old) if pred(old, *args) else BLOCKED


def _peek(old: Any, fn: Callable[..., Any], *args: Any) -> Any:
    return old, fn(old, *args)


def _cas(old: T, expected: T, new: T) -> tuple[T, bool]:
    return (new, True) if old == expected else (old, False)


class Cell(Generic[T]):
    """A shared variable whose immutable, hashable values are interned to small ints.

    Each method is one visible operation: the scheduler may run any other task before it, and
    none during it. ``holders`` makes the cell a lock: it tells from the value who holds it,
    ``"x"`` alone or ``"r"`` with other readers. The explorer uses that to see which accesses a
    lock protects.
    """

    def __init__(
        self, program: Program, index: int, name: str, initial: T, holders: Holders | None
    ):
        self.program = program
        self.index = index
        self.name = name
        self.holders = holders
        self.values: list[T] = []
        self._keys: dict[int, int] = {}
        self._by_key: dict[int, int] = {}
        self._ids: dict[Any, int] = {}
        self._ops: dict[Any, Op] = {}
        self.intern(initial)

    def __repr__(self) -> str:
        return f"<cell {self.name}>"

    def intern(self, value: T) -> int:
        """The small int that stands for ``value``."""
        try:
            key = typed(value)
            found = self._ids.get(key)
        except TypeError:
            raise ModelError(
                f"{caller_place()}: cell {self.name} was given {describe(value)}, "
                "which is not hashable",
                "use an immutable value: int, str, Enum, tuple, frozenset, NamedTuple",
            ) from None
        if found is None:
            self._check_value(value)
            found = self._ids[key] = len(self.values)
            self.values.append(value)
        return found

    def _check_value(self, value: T) -> None:
        plain = type(value).__hash__ is object.__hash__ and type(value).__eq__ is object.__eq__
        if plain and value is not None and not isinstance(value, Enum | type | FunctionType):
            raise ModelError(
                f"{caller_place()}: cell {self.name} was given {describe(value)}, "
                "which is compared by identity",
                "use a value: int, str, Enum, tuple, NamedTuple, frozen dataclass",
            )

    def key(self, value: int) -> int:
        """The 64-bit key of the value with id ``value``."""
        known = self._keys.get(value)
        if known is None:
            known = self._keys[value] = value_key(self.index, self.values[value])
            other = self._by_key.setdefault(known, value)
            if other != value:
                raise ModelError(
                    f"two values of cell {self.name} look the same: {describe(self.values[value])}",
                    "give their type a repr that shows all that makes two of them differ",
                )
        return known

    def value_with(self, key: int) -> int:
        """The id of the value that has a key; ``KeyError`` if it has not been seen."""
        if key not in self._by_key:
            for value in range(len(self.values)):
                self.key(value)
        return self._by_key[key]

    def op(self, name: str, fn: Callable[..., Any], args: tuple[Any, ...]) -> Op:
        """The operation ``fn(value, *args)``; the same object whenever it is the same operation."""
        try:
            key = (function_key(fn), tuple(map(argument_key, args)))
            found = self._ops.get(key)
        except TypeError:
            raise ModelError(
                f"{caller_place()}: an argument of {name} on {self.name} is not hashable",
                "pass ints, strings, tuples or frozen objects to an operation",
            ) from None
        if found is None:
            reads = fn in (_read, _wait, _peek)
            number = self.program.next_op()
            found = self._ops[key] = Op(number, self, name, fn, args, reads=reads)
        return found

    def read(self) -> T:
        """Read the cell."""
        return perform(self.op("read", _read, ()))  # type: ignore[no-any-return]

    def peek(self, fn: Callable[..., R], *args: Any) -> R:
        """Read no more of the cell than ``fn(value, *args)``."""
        return perform(self.op("peek", _peek, (fn, *args)))  # type: ignore[no-any-return]

    def write(self, value: T) -> None:
        """Write the cell."""
        perform(self.op("write", _write, (value,)))

    def update(self, fn: Callable[..., tuple[T, R] | Blocked], *args: Any) -> R:
        """``fn(old, *args) -> (new, result)`` as one operation; ``BLOCKED`` to wait."""
        name = getattr(fn, "__name__", "update").strip("_")
        return perform(self.op(name, fn, args))  # type: ignore[no-any-return]

    def wait(self, pred: Callable[..., bool], *args: Any) -> T:
        """Wait until ``pred(value, *args)``; return that value."""
        return perform(self.op("wait", _wait, (pred, *args)))  # type: ignore[no-any-return]

    def cas(self, expected: T, new: T) -> bool:
        """Compare and exchange: whether the cell had the value ``expected`` and now has ``new``."""
        return perform(self.op("cas", _cas, (expected, new)))  # type: ignore[no-any-return]
