"""Read-write semaphores (``kernel/locking/rwsem.c``).

A new reader gets the lock iff no writer holds it and no writer waits: **a queued writer blocks new
readers**, so a task that takes the lock for reading twice deadlocks when a writer queued in
between. Waiters are served first come, first served; a grant to one reader grants to all queued
readers and moves them past queued writers. Two freedoms of the real lock are left out, optimistic
spinning and lock stealing: both only change who among the waiters comes first.

Taking a contended lock is two steps, queueing and being granted, as both are visible. A waiter that
a signal takes off the queue lets those behind it pass.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode, Names, Violation, current_task, renamed_in_order
from refault.linux.include.linux.sched import (
    TASK_INTERRUPTIBLE,
    TASK_KILLABLE,
    TASK_UNINTERRUPTIBLE,
    TaskState,
)
from refault.linux.include.uapi.errno import EINTR
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.locking.sleep import wait_or_signal
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class RwsemState(NamedTuple):
    """Who holds the lock, and who waits: ``queue`` has (task, "r" or "w"), the first one first."""

    readers: tuple[str, ...] = ()
    writer: str | None = None
    queue: tuple[tuple[str, str], ...] = ()

    def renamed(self, names: Names) -> RwsemState:
        """The same for other tasks."""
        return renamed_in_order(self, names, "readers")

    def __repr__(self) -> str:
        held = f"w:{self.writer}" if self.writer else "r:" + ",".join(self.readers)
        waits = " ".join(f"{task}?{kind}" for task, kind in self.queue)
        if not (self.writer or self.readers):
            held = "free"
        return f"{held} {waits}".strip()


def _holders(sem: RwsemState) -> dict[str, Mode]:
    return {sem.writer: "x"} if sem.writer else dict.fromkeys(sem.readers, "r")


class Rwsem:
    """``struct rw_semaphore``."""

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.count: Cell[RwsemState] = program.cell(name, RwsemState(), holders=_holders)

    def __repr__(self) -> str:
        return self.name


def _granted(sem: RwsemState) -> RwsemState:
    """Hand a free lock to the first waiter, and to all waiting readers if that is one."""
    if sem.writer or not sem.queue:
        return sem
    if sem.queue[0][1] == "w":
        if sem.readers:
            return sem
        return RwsemState(writer=sem.queue[0][0], queue=sem.queue[1:])
    woken = tuple(task for task, kind in sem.queue if kind == "r")
    left = tuple(waiter for waiter in sem.queue if waiter[1] == "w")
    return RwsemState(tuple(sorted((*sem.readers, *woken))), None, left)


def _may_read(sem: RwsemState) -> bool:
    return not sem.writer and not sem.queue


def _down_read(sem: RwsemState, task: str) -> tuple[RwsemState, bool]:
    if _may_read(sem):
        return sem._replace(readers=tuple(sorted((*sem.readers, task)))), True
    return sem._replace(queue=(*sem.queue, (task, "r"))), False


def _down_read_trylock(sem: RwsemState, task: str) -> tuple[RwsemState, bool]:
    if _may_read(sem):
        return sem._replace(readers=tuple(sorted((*sem.readers, task)))), True
    return sem, False


def _down_write(sem: RwsemState, task: str) -> tuple[RwsemState, bool]:
    if not (sem.writer or sem.readers or sem.queue):
        return sem._replace(writer=task), True
    return sem._replace(queue=(*sem.queue, (task, "w"))), False


def _down_write_trylock(sem: RwsemState, task: str) -> tuple[RwsemState, bool]:
    if sem.writer or sem.readers or sem.queue:
        return sem, False
    return sem._replace(writer=task), True


def _up_read(sem: RwsemState, task: str) -> tuple[RwsemState, None]:
    if task not in sem.readers:
        raise Violation("lock imbalance", f"{task} releases a read lock that it does not hold")
    readers = list(sem.readers)
    readers.remove(task)
    return _granted(sem._replace(readers=tuple(readers))), None


def _up_write(sem: RwsemState, task: str) -> tuple[RwsemState, None]:
    if sem.writer != task:
        raise Violation("lock imbalance", f"{task} releases a write lock of {sem.writer}")
    return _granted(sem._replace(writer=None)), None


def _downgrade_write(sem: RwsemState, task: str) -> tuple[RwsemState, None]:
    if sem.writer != task:
        raise Violation("lock imbalance", f"{task} downgrades a write lock of {sem.writer}")
    return _granted(RwsemState((task,), None, sem.queue)), None


def _not_queued(sem: RwsemState, task: str) -> bool:
    return all(waiter != task for waiter, _ in sem.queue)


def _leave(sem: RwsemState, task: str) -> tuple[RwsemState, None]:
    queue = tuple(waiter for waiter in sem.queue if waiter[0] != task)
    return _granted(sem._replace(queue=queue)), None


def _read(sem: Rwsem, state: TaskState) -> int:
    might_sleep(f"down_read({sem})")
    if not sem.count.update(_down_read, current_task()):
        turn = (_not_queued, current_task())
        if not wait_or_signal(sem.count, *turn, state=state, leave=_leave):
            return -EINTR
    lock_acquire(sem.name)
    return 0


def _write(sem: Rwsem, state: TaskState) -> int:
    might_sleep(f"down_write({sem})")
    if not sem.count.update(_down_write, current_task()):
        turn = (_not_queued, current_task())
        if not wait_or_signal(sem.count, *turn, state=state, leave=_leave):
            return -EINTR
    lock_acquire(sem.name)
    return 0


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_read(sem: Rwsem) -> None:
    """Take the lock for reading."""
    _read(sem, TASK_UNINTERRUPTIBLE)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_read_interruptible(sem: Rwsem) -> int:
    """Take the lock for reading; -EINTR where a signal ends the wait for it."""
    return _read(sem, TASK_INTERRUPTIBLE)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_read_killable(sem: Rwsem) -> int:
    """Take the lock for reading; -EINTR where SIGKILL ends the wait for it."""
    return _read(sem, TASK_KILLABLE)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_read_trylock(sem: Rwsem) -> bool:
    """Take the lock for reading unless one has to wait; a waiting writer makes it fail."""
    taken = sem.count.update(_down_read_trylock, current_task())
    if taken:
        lock_acquire(sem.name)
    return taken


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def up_read(sem: Rwsem) -> None:
    """Give a read lock back."""
    sem.count.update(_up_read, current_task())
    lock_release(sem.name)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_write(sem: Rwsem) -> None:
    """Take the lock for writing."""
    _write(sem, TASK_UNINTERRUPTIBLE)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_write_killable(sem: Rwsem) -> int:
    """Take the lock for writing; -EINTR where SIGKILL ends the wait for it."""
    return _write(sem, TASK_KILLABLE)


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def down_write_trylock(sem: Rwsem) -> bool:
    """Take the lock for writing if nobody has it or waits for it."""
    taken = sem.count.update(_down_write_trylock, current_task())
    if taken:
        lock_acquire(sem.name)
    return taken


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def downgrade_write(sem: Rwsem) -> None:
    """Go on reading where one wrote; nobody else has written in between."""
    sem.count.update(_downgrade_write, current_task())


@kernel_function("kernel/locking/rwsem.c", quiet=True)
def up_write(sem: Rwsem) -> None:
    """Give the write lock back."""
    sem.count.update(_up_write, current_task())
    lock_release(sem.name)
