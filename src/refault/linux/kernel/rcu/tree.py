"""RCU (``kernel/rcu/tree.c``, ``include/linux/rcupdate.h``).

A grace period ends when all readers that were there at its beginning have left; readers that come
later do not hold it up. A reader must not sleep. The model keeps one token for each reader; waiting
is for the tokens of the snapshot, nothing more is promised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Violation, current_task
from refault.linux.kernel.locking.lockdep import might_sleep, preempt_disable, preempt_enable
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class Readers(NamedTuple):
    """Who reads, once for each nesting, and whom each waiting task still waits for."""

    inside: tuple[str, ...] = ()
    waited_for: tuple[tuple[str, tuple[str, ...]], ...] = ()


class Rcu:
    """The RCU of a story's kernel."""

    def __init__(self, program: Program, name: str = "rcu") -> None:
        self.name = name
        self.readers: Cell[Readers] = program.cell(name, Readers())

    def __repr__(self) -> str:
        return self.name


def enter(readers: Readers, task: str) -> tuple[Readers, None]:
    """A reader comes in."""
    return readers._replace(inside=tuple(sorted((*readers.inside, task)))), None


def leave(readers: Readers, task: str) -> tuple[Readers, None]:
    """A reader leaves; when it has left the outermost section, nobody waits for it any more."""
    if task not in readers.inside:
        raise Violation("lock imbalance", f"{task} leaves a read section that it is not in")
    inside = list(readers.inside)
    inside.remove(task)
    waits = readers.waited_for
    if task not in inside:
        waits = tuple((who, tuple(t for t in whom if t != task)) for who, whom in waits)
    return Readers(tuple(inside), waits), None


def snapshot(readers: Readers, task: str) -> tuple[Readers, None]:
    """A grace period begins."""
    whom = tuple(sorted(set(readers.inside)))
    return readers._replace(waited_for=tuple(sorted((*readers.waited_for, (task, whom))))), None


def elapsed(readers: Readers, task: str) -> bool:
    """Whether the grace period that ``task`` waits for has ended."""
    return not dict(readers.waited_for)[task]


def done(readers: Readers, task: str) -> tuple[Readers, None]:
    """A grace period is over."""
    return readers._replace(waited_for=tuple(w for w in readers.waited_for if w[0] != task)), None


@kernel_function("include/linux/rcupdate.h", quiet=True)
def rcu_read_lock(rcu: Rcu) -> None:
    """Begin to read: nothing that is found may be freed before the end, and one must not sleep."""
    rcu.readers.update(enter, current_task())
    preempt_disable("rcu_read_lock()")


@kernel_function("include/linux/rcupdate.h", quiet=True)
def rcu_read_unlock(rcu: Rcu) -> None:
    """End the read section."""
    rcu.readers.update(leave, current_task())
    preempt_enable("rcu_read_lock()")


@kernel_function("kernel/rcu/tree.c")
def synchronize_rcu(rcu: Rcu) -> None:
    """Sleep until all readers that are there now have left."""
    might_sleep("synchronize_rcu()")
    rcu.readers.update(snapshot, current_task())
    rcu.readers.wait(elapsed, current_task())
    rcu.readers.update(done, current_task())
