"""Mutexes (``kernel/locking/mutex.c``).

Whoever comes first to a free mutex takes it, signals or not: only a wait can be interrupted. A
mutex given back is free, not handed over, so a newcomer may take it before the first waiter has
come round; a waiter that found it taken asks to be handed it the next time.

``ww_mutex.py`` builds upon this one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode, Violation, current_task
from refault.linux.include.linux.sched import (
    TASK_KILLABLE,
    TASK_UNINTERRUPTIBLE,
    TaskState,
)
from refault.linux.include.uapi.errno import EINTR
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.locking.sleep import wait_or_signal
from refault.linux.kernel.sched.sleep_state import interruptible_mutex
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class MutexState(NamedTuple):
    """Who holds a mutex, and who waits, the first one first.

    ``woken``: the first waiter has been woken and will try; ``handoff``: it was too late once, and
    is to be handed the mutex; ``handed``: it has been, and holds it while it is still queued.
    """

    owner: str | None = None
    queue: tuple[str, ...] = ()
    woken: bool = False
    handoff: bool = False
    handed: bool = False

    def __repr__(self) -> str:
        held = f"x:{self.owner}" if self.owner else "free"
        flags = f"{' woken' * self.woken}{' handoff' * self.handoff}{' handed' * self.handed}"
        return " ".join([held, *(f"{task}?" for task in self.queue)]) + flags


def _holders(mutex: MutexState) -> dict[str, Mode]:
    return {mutex.owner: "x"} if mutex.owner else {}


class Mutex:
    """``struct mutex``."""

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.owner: Cell[MutexState] = program.cell(name, MutexState(), holders=_holders)

    def __repr__(self) -> str:
        return self.name


def _trylock(mutex: MutexState, task: str) -> tuple[MutexState, bool]:
    if mutex.owner:
        return mutex, False
    return mutex._replace(owner=task), True


def _lock(mutex: MutexState, task: str) -> tuple[MutexState, bool]:
    if mutex.owner:
        return mutex._replace(queue=(*mutex.queue, task)), False
    return mutex._replace(owner=task), True


def _turn(mutex: MutexState, task: str) -> bool:
    """Whether a waiter has been woken or been handed the mutex."""
    return (mutex.handed or mutex.woken) and mutex.queue[:1] == (task,)


def _try(mutex: MutexState, task: str) -> tuple[MutexState, bool]:
    """A woken waiter tries again; where it is too late, it will be handed the mutex."""
    if mutex.owner and not mutex.handed:
        return mutex._replace(woken=False, handoff=True), False
    return MutexState(task, mutex.queue[1:]), True


def _leave(mutex: MutexState, task: str) -> tuple[MutexState, None]:
    """A waiter gives up; the next one inherits what the first one was promised."""
    queue = tuple(waiter for waiter in mutex.queue if waiter != task)
    return mutex._replace(queue=queue, handoff=mutex.handoff and bool(queue)), None


def _unlock(mutex: MutexState, task: str) -> tuple[MutexState, None]:
    if mutex.owner != task:
        raise Violation("lock imbalance", f"{task} unlocks a mutex of {mutex.owner or 'nobody'}")
    if not mutex.queue:
        return MutexState(), None
    if mutex.handoff:
        return MutexState(mutex.queue[0], mutex.queue, handed=True), None
    return MutexState(None, mutex.queue, woken=True), None


def _mutex_lock(lock: Mutex, state: TaskState) -> int:
    might_sleep(f"mutex_lock({lock})")
    me = current_task()
    taken = lock.owner.update(_lock, me)
    while not taken:
        if not wait_or_signal(lock.owner, _turn, me, state=state, leave=_leave):
            return -EINTR
        taken = lock.owner.update(_try, me)
    lock_acquire(lock.name)
    return 0


@kernel_function("kernel/locking/mutex.c", label=lambda lock: f"mutex_lock({lock})")
def mutex_lock(lock: Mutex) -> None:
    """Take the mutex, whatever signals come."""
    _mutex_lock(lock, TASK_UNINTERRUPTIBLE)


@kernel_function("kernel/locking/mutex.c", label=lambda lock: f"mutex_lock_interruptible({lock})")
def mutex_lock_interruptible(lock: Mutex) -> int:
    """Take the mutex; -EINTR where a signal ends the wait for it."""
    return _mutex_lock(lock, interruptible_mutex())


@kernel_function("kernel/locking/mutex.c", label=lambda lock: f"mutex_lock_killable({lock})")
def mutex_lock_killable(lock: Mutex) -> int:
    """Take the mutex; -EINTR where SIGKILL ends the wait for it."""
    return _mutex_lock(lock, TASK_KILLABLE)


@kernel_function("kernel/locking/mutex.c", label=lambda lock: f"mutex_trylock({lock})")
def mutex_trylock(lock: Mutex) -> bool:
    """Take the mutex if it is free."""
    taken = lock.owner.update(_trylock, current_task())
    if taken:
        lock_acquire(lock.name)
    return taken


@kernel_function("kernel/locking/mutex.c", label=lambda lock: f"mutex_unlock({lock})")
def mutex_unlock(lock: Mutex) -> None:
    """Give the mutex back, and wake the first waiter."""
    lock.owner.update(_unlock, current_task())
    lock_release(lock.name)
