"""Folded histories, and a run of a task that knows its own.

What a fold is, and what must hold for folding to be sound, is told at the head of ``behaviour``.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any

from ..errors import EndlessLoop, ModelError
from ..keys import key
from ..operation import typed
from ..program import Program, Task
from ..runner import Runner, Stop, place_text
from ..runtime import check_hashable
from ..symmetry import Permutation, renamed
from ..where import describe
from .discipline import Held


class Folds:
    """Interns folded histories. A history is a kind, the fold that it goes on from, and details."""

    def __init__(self) -> None:
        self._ids: dict[Hashable, int] = {}
        self._parts: list[tuple[str, int, tuple[Hashable, ...]]] = []
        self._keys: dict[int, int] = {}
        self._by_key: dict[int, int] = {}
        self._images: dict[int, dict[int, int]] = {}

    def __call__(self, kind: str, base: int, *details: Hashable) -> int:
        """The int that stands for a history."""
        whole = (kind, base, details)
        known = self._ids.get(whole)
        if known is None:
            known = self._ids[whole] = len(self._parts)
            self._parts.append(whole)
        return known

    def key(self, fold: int) -> int:
        """The 64-bit key of a history: of what it goes on from, and of the details."""
        chain = [fold]
        while chain[-1] not in self._keys and self._parts[chain[-1]][0] != "start":
            chain.append(self._parts[chain[-1]][1])
        for at in reversed(chain):
            if at not in self._keys:
                kind, base, details = self._parts[at]
                before = base if kind == "start" else self._keys[base]
                self._keys[at] = self._unique(at, key(kind, str(before), details))
        return self._keys[fold]

    def image(self, fold: int, p: Permutation) -> int:
        """What a history becomes under a permutation of identical tasks."""
        known = self._images.setdefault(id(p), {})
        chain = [fold]
        while chain[-1] not in known and self._parts[chain[-1]][0] != "start":
            chain.append(self._parts[chain[-1]][1])
        for at in reversed(chain):
            if at not in known:
                kind, base, details = self._parts[at]
                before = p.tasks[base] if kind == "start" else known[base]
                known[at] = self(kind, before, *_image(kind, details, p))
        return known[fold]

    def _unique(self, fold: int, made: int) -> int:
        other = self._by_key.setdefault(made, fold)
        if other != fold:
            raise ModelError(
                f"two results of a task look the same: {describe(self._parts[fold][2])}",
                "give their type a repr that shows all that makes two of them differ",
            )
        return made


def _image(kind: str, details: tuple[Any, ...], p: Permutation) -> tuple[Any, ...]:
    """The details of a history under a permutation; the last of some kinds are the locks held."""
    if kind not in ("restart", "return"):
        return tuple(renamed(d, p.names) for d in details)
    *first, held = details
    locks = frozenset((p.cells[cell], mode) for cell, mode in held)
    return (*(renamed(d, p.names) for d in first), locks)


class FoldingRunner(Runner):
    """A run that knows its fold."""

    def __init__(self, program: Program, task: Task, folds: Folds, limit: int) -> None:
        super().__init__(program, task)
        self._folds = folds
        self._limit = limit
        self._scopes: list[tuple[int, int]] = []
        self._length = 0
        self.held: Held = frozenset()
        self.fold = self._base = folds("start", task.index)

    def go_on(self, result: Any, held: Held) -> Stop:
        """Resume with a result, after which the task holds the locks ``held``."""
        self.held = held
        self.fold = self._folds("step", self.fold, typed(result))
        self._grow()
        return self.resume(result)

    def _grow(self) -> None:
        self._length += 1
        if self._length > self._limit:
            raise EndlessLoop(
                f"{place_text(self.place)}: task {self.task_name!r} made {self._limit} operations "
                "without returning from a scope or restarting",
                "put restart(<locals that live across the loop>) at the head of the endless loop",
            )

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        """Fold everything since the enclosing scope began into ``state``."""
        check_hashable(state, "the state given to restart()")
        base = self._folds("enter", self._scopes[-1][0]) if self._scopes else self._base
        self.fold = self._folds("restart", base, site, tuple(map(typed, state)), self.held)
        self._length = 0

    def enter(self, name: str) -> None:
        """Remember the fold to come back to; inside the scope, folds are its own."""
        self._scopes.append((self.fold, self._length))
        self.fold = self._folds("enter", self.fold)

    def leave(self, name: str, result: Any) -> None:
        """Fold the scope into the value that it returned, where that is hashable."""
        fold, length = self._scopes.pop()
        try:
            self.fold = self._folds("return", fold, typed(result), self.held)
        except TypeError:
            return
        self._length = length
        self._grow()

    def abandon(self, name: str) -> None:
        """Keep the history of a scope that raised."""
        self._scopes.pop()
