"""A small catalogue of our own: scenarios of bare programs, with known verdicts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from click.testing import Result

from refault.explore import (
    BLOCKED,
    Cell,
    Program,
    Violation,
    choose,
    current_task,
    note,
    restart,
    traced,
)
from refault.scenarios import Scenario

Run = Callable[..., Result]


@dataclass(frozen=True)
class Toy(Scenario):
    """A scenario that tells its story to a bare program; ``with order`` mends it."""

    def build(
        self, variant: str = "", made: Callable[[Any], object] | None = None
    ) -> Callable[[Program], None]:
        """Return the story itself; it makes no kernel."""
        story: Any = self.story

        def build(program: Program) -> None:
            story(program, variant)

        return build


def _acquire(owner: str | None, task: str) -> Any:
    return BLOCKED if owner else (task, None)


def _release(_owner: str | None) -> tuple[None, None]:
    return None, None


@traced(name=lambda lock: f"mutex_lock({lock.name})")
def mutex_lock(lock: Cell[str | None]) -> None:
    lock.update(_acquire, current_task())


@traced
def transfer(first: Cell[str | None], second: Cell[str | None]) -> None:
    mutex_lock(first)
    note(f"holds {first.name}")
    mutex_lock(second)
    second.update(_release)
    first.update(_release)


def abba(program: Program, variant: str = "", tasks: int = 2) -> None:
    """Tasks that take two locks in opposite orders stop each other.

    The textbook's deadlock.
    """
    locks = [program.cell(f"lock{n}", None) for n in range(tasks)]
    for n in range(tasks):
        pair = (locks[n], locks[(n + 1) % tasks])
        if variant == "with order" and n == tasks - 1:
            pair = pair[::-1]
        program.task(f"task{n}", transfer, *pair)


def many(program: Program, variant: str = "") -> None:
    """Too many tasks for any patience."""
    abba(program, variant, tasks=16)


def hidden(program: Program, _variant: str = "") -> None:
    """A model that keeps state outside cells."""
    cell, calls = program.cell("x", 0), [0]

    def task() -> None:
        while True:
            restart()
            calls[0] += 1
            cell.write(calls[0] % 3)

    program.task("forgetful", task)


def endless(program: Program, _variant: str = "") -> None:
    """A loop without a restart point."""
    cell = program.cell("x", 0)

    def task() -> None:
        while True:
            cell.write(1)

    program.task("tireless", task)


def both(program: Program, _variant: str = "") -> None:
    """Two things can go wrong."""
    cell = program.cell("x", 0)

    def task() -> None:
        if choose("sleep", "crash") == "crash":
            raise Violation("use after free", "x was freed")
        cell.wait(bool)

    program.task("unlucky", task)


def toy(story: Any, **expect: str | tuple[str, ...]) -> Toy:
    """Make a catalogue entry: ``base`` is the verdict expected of the base."""
    stated = {name.replace("base", "").replace("_", " "): kind for name, kind in expect.items()}
    code = story.__code__
    return Toy(story.__name__, story, "a textbook", ("1",), stated, code.co_filename, 1)


CATALOGUE = (
    toy(abba, base="deadlock", with_order="holds"),
    toy(many, base="deadlock"),
    toy(hidden, base="holds"),
    toy(endless, base="holds"),
    toy(both, base=("use after free", "deadlock")),
)
