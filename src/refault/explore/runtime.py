"""What model code calls while it runs: the one door between a task and whoever drives it.

A task runs in a greenlet. The driver (the behaviour tables while exploring, the replayer otherwise)
makes its ``Runner`` current and switches to it; the task switches back with a request, an operation
or a choice, and is resumed with the result.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, Protocol, TypeVar, overload

from .errors import ModelError
from .where import caller_place, describe, model_frame

if TYPE_CHECKING:
    from .operation import Op
    from .program import Program

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")


class Driver(Protocol):
    """What a running task can ask of whoever drives it."""

    program: Program
    task_name: str
    atomic: int

    def perform(self, op: Op) -> Any:
        """Do one visible operation."""

    def ask(self, op: Op) -> Any:
        """Do one visible operation, without the mutation that may be tried out."""

    def choose(self, options: tuple[Any, ...]) -> Any:
        """Pick one of the options."""

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        """Forget the history of the enclosing scope but ``state``."""

    def enter(self, name: str) -> None:
        """Begin a scope."""

    def leave(self, name: str, result: Any) -> None:
        """End a scope that returned ``result``."""

    def abandon(self, name: str) -> None:
        """End a scope that raised."""

    def note(self, text: str) -> None:
        """Record an observation."""

    def reach(self, name: str) -> None:
        """Record that something declared possible has happened."""

    def finish(self) -> NoReturn:
        """End the task where it is."""


current: Driver | None = None


def driver() -> Driver:
    """Whoever drives the running task."""
    if current is None:
        raise ModelError(
            f"{caller_place()}: an operation outside any task",
            "operate on cells only while a task runs: from functions given to Program.task(), "
            "in a scenario from those under @k.thread",
        )
    return current


def running() -> bool:
    """Tell whether a task is running, and not a program being built or judged."""
    return current is not None


def perform(op: Op) -> Any:
    """Do one visible operation of the running task."""
    return driver().perform(op)


def current_task() -> str:
    """The name of the running task."""
    return driver().task_name


def current_program() -> Program:
    """The program that the running task belongs to."""
    return driver().program


def choose(*options: T) -> T:
    """Pick one of the options; the search explores every one. A step of its own."""
    d = driver()
    if not options:
        raise ModelError(f"{caller_place()}: choose() has no options", "pass at least one option")
    if d.atomic:
        raise ModelError(
            f"{caller_place()}: choose() inside atomic()", "choose before the atomic block begins"
        )
    return d.choose(options)  # type: ignore[no-any-return]


def note(text: str) -> None:
    """Record an observation: it shows in brackets in the diagram. No step, no effect."""
    driver().note(text)


def finish() -> NoReturn:
    """End the running task here, as if its function had returned.

    Nothing that Python unwinds on the way out can operate any more: ``finally`` is not run as the
    task.
    """
    driver().finish()


@contextmanager
def atomic() -> Iterator[None]:
    """Make the operations inside one step, all or nothing.

    If one of them is blocked, the step as a whole cannot be taken yet and none has happened.
    """
    d = driver()
    if d.program.mutation is not None and d.program.mutation.splits(d):
        yield
        return
    d.atomic += 1
    try:
        yield
    finally:
        d.atomic -= 1


def restart(*state: Hashable) -> None:
    """Restart point: the head of an unbounded loop.

    What the task did since the enclosing scope began is forgotten but for ``state``, which must
    hold every local variable that lives across the loop. Two rounds with the same state are one
    local state, so the loop is finite.
    """
    frame = model_frame(sys._getframe(1))
    site = None if frame is None else (frame.f_code, frame.f_lasti)
    driver().restart(site, state)


def scoped(fn: Callable[P, R], name: str | Callable[P, str]) -> Callable[P, R]:
    """Wrap ``fn`` in a scope called ``name``; ``scope`` and ``traced`` are made of it."""

    @functools.wraps(fn)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> R:
        d = driver()
        said = name if isinstance(name, str) else name(*args, **kwargs)
        d.enter(said)
        try:
            result = fn(*args, **kwargs)
        except BaseException:
            d.abandon(said)
            raise
        d.leave(said, result)
        return result

    return wrapper


def scope(fn: Callable[P, R]) -> Callable[P, R]:
    """When ``fn`` returns, its history is dropped; only the value that it returned stays.

    The value must be hashable (by value, not by identity) for that, else the history is kept. So a
    scoped function must change nothing but cells: whatever else it learns it must return.
    """
    return scoped(fn, "")


@overload
def traced(fn: Callable[P, R], /) -> Callable[P, R]: ...


@overload
def traced(*, name: str | Callable[..., str]) -> Callable[[Callable[P, R]], Callable[P, R]]: ...


def traced(fn: Any = None, /, *, name: Any = None) -> Any:
    """A scope whose entry and exit show in the replayed trace, as ``name``."""
    if fn is None:
        return lambda f: scoped(f, name)
    return scoped(fn, fn.__name__)


def check_hashable(value: Any, what: str) -> None:
    """Complain about a value that cannot be part of a local state."""
    try:
        hash(value)
    except TypeError:
        raise ModelError(
            f"{caller_place()}: {what} is not hashable: {describe(value)}",
            "use ints, strings, tuples, frozen objects",
        ) from None
