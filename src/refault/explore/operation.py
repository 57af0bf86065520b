"""Visible operations: pure partial functions on the value of one cell.

Read, write, compare-and-exchange, lock, unlock, ``schedule()`` and pop-from-queue all have this one
form: ``fn(old, *args) -> (new, result)``, or ``BLOCKED``. An operation is known by its cell, its
function and its arguments, and is evaluated once per old value.
"""

from __future__ import annotations

import functools
import types
from collections.abc import Callable, Hashable
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from .errors import ModelError, Violation
from .trace import Finding
from .where import assertion, code_place, describe

if TYPE_CHECKING:
    from .cell import Cell


class Blocked(Enum):
    """The type of ``BLOCKED``."""

    BLOCKED = "BLOCKED"

    def __repr__(self) -> str:
        return "BLOCKED"


BLOCKED: Final = Blocked.BLOCKED
"""What an operation returns where it must wait for the cell to change."""


class Done(NamedTuple):
    """The operation took place: ids of the new value, and its result."""

    new: int
    result: Any


class Failed(NamedTuple):
    """The operation broke a property."""

    finding: Finding


class Crashed(NamedTuple):
    """The function of the operation raised: a defect of the model."""

    error: BaseException


Outcome = Done | Failed | Crashed | None
"""``None`` stands for blocked."""


def typed(value: object) -> tuple[type, object]:
    """Tell ``1``, ``True`` and ``1.0`` apart, which Python's equality does not."""
    return (type(value), value)


def function_key(fn: Any) -> Hashable:
    """What makes two function objects the same function: their code and all that they capture."""
    if isinstance(fn, functools.partial):
        return (function_key(fn.func), tuple(map(typed, fn.args)), _named(fn.keywords))
    if isinstance(fn, types.MethodType):
        return (function_key(fn.__func__), typed(fn.__self__))
    if isinstance(fn, types.FunctionType):
        captured = tuple(typed(c.cell_contents) for c in fn.__closure__ or ())
        defaults = tuple(map(typed, fn.__defaults__ or ()))
        return (fn.__code__, captured, defaults, _named(fn.__kwdefaults__ or {}))
    return (fn,)


def argument_key(value: object) -> Hashable:
    """What makes two arguments the same: their value, or for a function what it does."""
    if isinstance(value, types.FunctionType | types.MethodType | functools.partial):
        return function_key(value)
    return typed(value)


def _named(values: dict[str, Any]) -> Hashable:
    return tuple((name, typed(value)) for name, value in sorted(values.items()))


class Op:
    """One visible operation, with the outcomes that are known so far.

    ``reads`` says that it never changes the cell, whatever its value.
    """

    __slots__ = ("args", "cell", "fn", "index", "name", "outcomes", "reads")

    def __init__(
        self,
        index: int,
        cell: Cell[Any],
        name: str,
        fn: Callable[..., Any],
        args: tuple[Any, ...],
        *,
        reads: bool = False,
    ) -> None:
        self.index = index
        self.cell = cell
        self.name = name
        self.fn = fn
        self.args = args
        self.reads = reads
        self.outcomes: dict[int, Outcome] = {}

    def __repr__(self) -> str:
        return f"{self.cell.name}.{self.name}"

    def outcome(self, value: int) -> Outcome:
        """The outcome at the cell's value with id ``value``."""
        try:
            return self.outcomes[value]
        except KeyError:
            found = self.outcomes[value] = self._evaluate(self.cell.values[value])
            return found

    def _evaluate(self, old: Any) -> Outcome:
        try:
            answer = self.fn(old, *self.args)
            if answer is BLOCKED:
                return None
            new, result = self._pair(answer)
            return Done(self.cell.intern(new), result)
        except Violation as v:
            return Failed(Finding(v.kind, v.message))
        except AssertionError as e:
            return Failed(assertion(e))
        except MemoryError:
            raise
        except Exception as e:
            return Crashed(e)

    def _pair(self, answer: object) -> tuple[Any, Any]:
        if not isinstance(answer, tuple) or len(answer) != 2:
            raise ModelError(
                f"{code_place(self.fn)}: an update of {self.cell.name} returned {describe(answer)}",
                "return (new value, result), or BLOCKED",
            )
        return answer

    def crash(self, error: BaseException) -> ModelError:
        """The error to raise for a ``Crashed`` outcome."""
        if isinstance(error, ModelError):
            return error
        wrong = ModelError(
            f"{code_place(self.fn)}: {self.name} of {self.cell.name} raised "
            f"{type(error).__name__}: {error}",
            "an operation must be a pure function, defined for each value that its cell can have",
        )
        wrong.__cause__ = error
        return wrong
