"""Mutations that leave something out: an effect, a wait, a lock, an atomic block."""

from __future__ import annotations

import sys
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any, ClassVar

from ..operation import Op, function_key, typed
from ..program import Performer, Program
from .mutation import Hook, Mutation, Site, spot
from .sites import frames


@dataclass(frozen=True, kw_only=True)
class Drop(Mutation):
    """An operation has no effect and gives a constant result."""

    kind: ClassVar[str] = "write"
    result: Any = None

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return "without effect"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"the effect of {super().point}"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _Drop(program, self)


@dataclass(frozen=True, kw_only=True)
class Blind(Drop):
    """A look at a cell always has the same answer."""

    kind: ClassVar[str] = "re-check"

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return f"always {self.result}"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"{self.what} in {self.function} ever being {not self.result}"


class _Drop(Hook):
    def __init__(self, program: Program, mutation: Drop) -> None:
        super().__init__(program, mutation)
        self._result = mutation.result

    def perform(self, run: Performer, op: Op) -> Any:
        dropped = op.cell.name in self.cells and self.at(op, self.sites)
        return run.ask(self.nothing(op, self._result) if dropped else op)


@dataclass(frozen=True, kw_only=True)
class DropWait(Mutation):
    """A task does not wait for a cell, and goes on with the value that it has."""

    kind: ClassVar[str] = "wait"

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return "not waited for"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"the wait in {super().point}"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _DropWait(program, self)


class _DropWait(Hook):
    def perform(self, run: Performer, op: Op) -> Any:
        dropped = op.cell.name in self.cells and self.at(op, self.sites)
        return run.ask(self.look(op) if dropped else op)


@dataclass(frozen=True, kw_only=True)
class DropLock(Mutation):
    """A lock is not taken in a function, and not given back by who does not hold it.

    ``results`` has, by site, what an acquisition gives that succeeds; ``releases`` has the keys of
    the operations that give the lock back.
    """

    kind: ClassVar[str] = "lock"
    results: tuple[tuple[Site, Any], ...]
    releases: frozenset[Hashable]

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return "not taken"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _DropLock(program, self)


def operation_keys(op: Op) -> tuple[Hashable, Hashable]:
    """What an operation is known by: its function, and the call of it."""
    fn = function_key(op.fn)
    return fn, (fn, tuple(map(typed, op.args)))


class _DropLock(Hook):
    def __init__(self, program: Program, mutation: DropLock) -> None:
        super().__init__(program, mutation)
        self._results = dict(mutation.results)
        self._releases = mutation.releases

    def perform(self, run: Performer, op: Op) -> Any:
        if op.cell.name not in self.cells:
            return run.ask(op)
        site = self.at(op, self.sites)
        if site is not None:
            return run.ask(self.nothing(op, self._results[site]))
        if not self._releases.isdisjoint(operation_keys(op)):
            return run.ask(self._if_held(op, run.task_name))
        return run.ask(op)

    def _if_held(self, op: Op, task: str) -> Op:
        holders = op.cell.holders
        assert holders is not None

        def release(old: Any) -> Any:
            return op.fn(old, *op.args) if task in holders(old) else (old, None)

        return self.instead(op, f"{op.name} by {task}", release)


@dataclass(frozen=True, kw_only=True)
class Split(Mutation):
    """The operations of an atomic block are steps of their own."""

    kind: ClassVar[str] = "atomic"

    @property
    def change(self) -> str:
        """What happens to ``what``."""
        return "in several steps"

    @property
    def point(self) -> str:
        """What nothing depends on if this makes no difference."""
        return f"{super().point} being one step"

    def hook(self, program: Program) -> Hook:
        """What does it in ``program``."""
        return _Split(program, self)


class _Split(Hook):
    def splits(self, run: Performer) -> bool:
        innermost = spot(frames(sys._getframe(1))[0].frame)
        return any(site.spots[0] == innermost for site in self.sites)
