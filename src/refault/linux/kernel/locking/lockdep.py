"""What a task holds, and what it must not do meanwhile (``kernel/locking/lockdep.c``).

With a spinlock held, or preemption disabled in any other way, a task must not sleep, nor call what
might: that is found where it calls, whether or not it would have slept this time. Going back to
user mode with a lock held is found at the end of the system call or fault.

Each run of a task keeps its own list; it is made of what the task did itself, so it needs no cell
and is no step. Whether a lock *is* held is not asked of it: locks check that themselves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

from refault.explore import Violation, current_task
from refault.explore.runtime import Driver, driver


@dataclass
class _Held:
    """What one run of a task holds, in the order in which it was taken."""

    atomic: list[str] = field(default_factory=list)
    sleeping: list[str] = field(default_factory=list)
    pagefault_disabled: int = 0
    in_syscall: bool = False


_runs: WeakKeyDictionary[Driver, _Held] = WeakKeyDictionary()


def _mine() -> _Held:
    run = driver()
    held = _runs.get(run)
    if held is None:
        held = _runs[run] = _Held()
    return held


def lock_acquire(name: str) -> None:
    """Note that the running task has taken a lock under which it may sleep."""
    _mine().sleeping.append(name)


def lock_release(name: str) -> None:
    """Note that it has given it back, if it took it itself."""
    held = _mine().sleeping
    if name in held:
        held.reverse()
        held.remove(name)
        held.reverse()


def preempt_disable(why: str) -> None:
    """Note that the running task must not sleep from here on; ``why`` names what it holds."""
    _mine().atomic.append(why)


def preempt_enable(why: str) -> None:
    """Note that it may again, as far as ``why`` is concerned."""
    held = _mine().atomic
    if why in held:
        held.remove(why)


def non_block_start() -> None:
    """Note that the running task has called somebody who must not sleep, though it might."""
    preempt_disable("non_block_start()")


def non_block_end() -> None:
    """Note that it is back."""
    preempt_enable("non_block_start()")


def might_sleep(call: str) -> None:
    """Find a task that sleeps, or calls what might, where it must not."""
    held = _mine().atomic
    if held:
        raise Violation("sleep in atomic", f"{current_task()} calls {call} with {held[-1]} held")


def add_pagefault_disabled(by: int) -> None:
    """Count ``pagefault_disable()`` sections."""
    _mine().pagefault_disabled += by


def in_atomic() -> bool:
    """Tell whether the running task must not sleep."""
    return bool(_mine().atomic)


def pagefaults_disabled() -> bool:
    """Tell whether the running task is in such a section."""
    return _mine().pagefault_disabled > 0


def in_syscall() -> bool:
    """Tell whether the running task is in a system call."""
    return _mine().in_syscall


def enter_syscall() -> None:
    """Note that the running task is in a system call."""
    _mine().in_syscall = True


def leave_syscall() -> None:
    """Note that the running task is on its way out of its system call."""
    _mine().in_syscall = False


def lockdep_sys_exit() -> None:
    """Find a task that goes back to user mode with a lock held."""
    held = _mine()
    for name in (*held.atomic, *held.sleeping):
        raise Violation(
            "lock imbalance", f"{current_task()} returns to user mode and still holds {name}"
        )
