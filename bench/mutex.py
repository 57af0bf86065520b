"""A mutex for the bench programs: a cell that says who holds it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refault.explore import BLOCKED, Cell, Program, current_task

Build = Callable[[Program], None]
Mutex = Cell[str | None]


def holders(owner: str | None) -> dict[str, Any]:
    """Tell who holds a mutex from its value."""
    return {} if owner is None else {owner: "x"}


def _lock(owner: str | None, me: str) -> Any:
    return (me, None) if owner is None else BLOCKED


def _unlock(owner: str | None, me: str) -> tuple[None, None]:
    assert owner == me, f"{me} unlocks what {owner} holds"
    return None, None


def lock(mutex: Mutex) -> None:
    """Take the mutex in one step, waiting for it to be free."""
    mutex.update(_lock, current_task())


def unlock(mutex: Mutex) -> None:
    """Release the mutex in one step."""
    mutex.update(_unlock, current_task())
