"""Sleepable RCU (``kernel/rcu/srcutree.c``, ``include/linux/srcu.h``).

As RCU, for one domain, and its readers may sleep; so a reader that waits for one who waits for the
readers of its domain never gets on. A callback of ``call_srcu()`` runs in a worker, which a story
starts as a daemon thread.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING, Any

from refault.explore import BLOCKED, Blocked, current_task, restart
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.rcu.tree import Rcu, done, elapsed, enter, leave, snapshot
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program

Callback = tuple[Callable[..., Any], tuple[Hashable, ...]]


class SrcuStruct(Rcu):
    """``struct srcu_struct``: a domain; ``callbacks`` are those that no worker has taken yet."""

    def __init__(self, program: Program, name: str) -> None:
        super().__init__(program, name)
        self.callbacks: Cell[tuple[Callback, ...]] = program.cell(f"{name}.callbacks", ())


@kernel_function("include/linux/srcu.h", label=lambda ssp: f"srcu_read_lock({ssp})")
def srcu_read_lock(ssp: SrcuStruct) -> None:
    """Begin to read; the reader may sleep."""
    ssp.readers.update(enter, current_task())
    lock_acquire(ssp.name)


@kernel_function("include/linux/srcu.h", label=lambda ssp: f"srcu_read_unlock({ssp})")
def srcu_read_unlock(ssp: SrcuStruct) -> None:
    """End the read section."""
    ssp.readers.update(leave, current_task())
    lock_release(ssp.name)


@kernel_function("kernel/rcu/srcutree.c", label=lambda ssp: f"synchronize_srcu({ssp})")
def synchronize_srcu(ssp: SrcuStruct) -> None:
    """Sleep until all readers of the domain that are there now have left."""
    might_sleep(f"synchronize_srcu({ssp})")
    ssp.readers.update(snapshot, current_task())
    ssp.readers.wait(elapsed, current_task())
    ssp.readers.update(done, current_task())


def _add(callbacks: tuple[Callback, ...], new: Callback) -> tuple[tuple[Callback, ...], None]:
    return (*callbacks, new), None


def _take(callbacks: tuple[Callback, ...]) -> tuple[tuple[Callback, ...], Callback] | Blocked:
    return (callbacks[1:], callbacks[0]) if callbacks else BLOCKED


@kernel_function("kernel/rcu/srcutree.c", label=lambda ssp, *rest: f"call_srcu({ssp})")
def call_srcu(ssp: SrcuStruct, function: Callable[..., Any], *args: Hashable) -> None:
    """Have ``function(*args)`` called after a grace period; does not wait for it."""
    ssp.callbacks.update(_add, (function, args))


@kernel_function("kernel/rcu/srcutree.c", quiet=True)
def srcu_invoke_callbacks(ssp: SrcuStruct) -> None:
    """The worker of a domain: call one callback after the other, each after a grace period."""
    while True:
        restart()
        function, args = ssp.callbacks.update(_take)
        synchronize_srcu(ssp)
        function(*args)
