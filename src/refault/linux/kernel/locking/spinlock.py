"""Spinlocks (``include/linux/spinlock.h``, ``kernel/locking/spinlock.c``).

A lock is its owner. Spinning is being blocked: the model has no time, and a spinner changes
nothing that others could see.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refault.explore import BLOCKED, Blocked, Mode, Violation, current_task
from refault.linux.kernel.locking.lockdep import preempt_disable, preempt_enable
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


def _holders(owner: str | None) -> dict[str, Mode]:
    return {owner: "x"} if owner else {}


class SpinLock:
    """``spinlock_t``; a ``quiet`` one stays out of diagrams."""

    def __init__(self, program: Program, name: str, *, quiet: bool = False) -> None:
        self.name = name
        self.quiet = quiet
        self.owner: Cell[str | None] = program.cell(f"{name}.lock", None, holders=_holders)

    def __repr__(self) -> str:
        return self.name


def _label(function: str) -> Callable[[SpinLock], str]:
    return lambda lock: f"{'~' * lock.quiet}{function}({lock})"


def _acquire(owner: str | None, task: str) -> tuple[str | None, None] | Blocked:
    if owner == task:
        raise Violation("deadlock", f"{task} spins on a lock that it holds itself")
    return BLOCKED if owner else (task, None)


def _release(owner: str | None, task: str) -> tuple[str | None, None]:
    if owner != task:
        raise Violation("lock imbalance", f"{task} releases a spinlock of {owner or 'nobody'}")
    return None, None


@kernel_function("include/linux/spinlock.h", label=_label("spin_lock"))
def spin_lock(lock: SpinLock) -> None:
    """Take the lock."""
    lock.owner.update(_acquire, current_task())
    preempt_disable(lock.name)


@kernel_function("include/linux/spinlock.h", label=_label("spin_unlock"))
def spin_unlock(lock: SpinLock) -> None:
    """Give the lock back."""
    lock.owner.update(_release, current_task())
    preempt_enable(lock.name)
