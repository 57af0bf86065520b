"""Wound/wait mutexes (``kernel/locking/ww_mutex.h``, ``include/linux/ww_mutex.h``).

Tasks that take several locks of one class in no fixed order have a ticket each, and the older one
gets its way. In a *wait-die* class a younger task does not wait for an older one: it backs off,
with -EDEADLK, gives back what it holds and begins anew. In a *wound-wait* class an older one wounds
a younger holder, which backs off when it next has to wait, or at once if it is waiting.

Buffer reservations (``dma_resv``) are of the first kind.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

from refault.explore import Mode, Violation, atomic, current_task, restart
from refault.linux.include.linux.sched import TASK_UNINTERRUPTIBLE, TaskState
from refault.linux.include.linux.sched.signal import interrupts
from refault.linux.include.uapi.errno import EALREADY, EDEADLK, EINTR
from refault.linux.kernel.locking.lockdep import lock_acquire, lock_release, might_sleep
from refault.linux.kernel.sched.sleep_state import INTERRUPTED, interruptible_sleep
from refault.linux.modelled import current, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class WwClass(Enum):
    """``struct ww_class``: who gives way."""

    WAIT_DIE = "wait-die"
    WOUND_WAIT = "wound-wait"


class WwState(NamedTuple):
    """The tickets that were drawn, the oldest first, and the holders that have been wounded."""

    tickets: tuple[str, ...] = ()
    wounded: tuple[str, ...] = ()


class WwAcquireCtx:
    """All ``struct ww_acquire_ctx`` of one class: a task has one at a time."""

    def __init__(self, program: Program, name: str, kind: WwClass = WwClass.WAIT_DIE) -> None:
        self.name = name
        self.kind = kind
        self.cell: Cell[WwState] = program.cell(f"{name}.stamp", WwState())

    def __repr__(self) -> str:
        return self.name


class WwMutexState(NamedTuple):
    """The holder of a lock and who waits for it; a task without a ticket has none here."""

    owner: str | None = None
    queue: tuple[str, ...] = ()


def _holders(lock: WwMutexState) -> dict[str, Mode]:
    return {lock.owner: "x"} if lock.owner else {}


class WwMutex:
    """``struct ww_mutex``."""

    def __init__(self, program: Program, name: str, ww_class: WwAcquireCtx) -> None:
        self.name = name
        self.ww_class = ww_class
        self.base: Cell[WwMutexState] = program.cell(name, WwMutexState(), holders=_holders)

    def __repr__(self) -> str:
        return self.name


def _draw(state: WwState, task: str) -> tuple[WwState, None]:
    if task in state.tickets:
        raise Violation("BUG", f"{task} begins to acquire while it has a ticket")
    return state._replace(tickets=(*state.tickets, task)), None


def _return(state: WwState, task: str) -> tuple[WwState, None]:
    tickets = tuple(t for t in state.tickets if t != task)
    return WwState(tickets, tuple(t for t in state.wounded if t != task)), None


@kernel_function("include/linux/ww_mutex.h", label=lambda ctx: f"ww_acquire_init({ctx})")
def ww_acquire_init(ctx: WwAcquireCtx) -> None:
    """Draw a ticket; it is younger than all that are out."""
    ctx.cell.update(_draw, current_task())


@kernel_function("include/linux/ww_mutex.h", label=lambda ctx: f"ww_acquire_fini({ctx})")
def ww_acquire_fini(ctx: WwAcquireCtx) -> None:
    """Give the ticket back; the locks are released."""
    ctx.cell.update(_return, current_task())


def _take(lock: WwMutexState, task: str) -> tuple[WwMutexState, bool]:
    if lock.owner:
        return lock, False
    queue = tuple(waiter for waiter in lock.queue if waiter != task)
    return WwMutexState(task, queue), True


def _enqueue(lock: WwMutexState, task: str) -> tuple[WwMutexState, None]:
    return lock._replace(queue=(*lock.queue, task)), None


def _dequeue(lock: WwMutexState, task: str) -> tuple[WwMutexState, None]:
    return lock._replace(queue=tuple(t for t in lock.queue if t != task)), None


def _wound(state: WwState, task: str) -> tuple[WwState, None]:
    return state._replace(wounded=tuple(sorted({*state.wounded, task}))), None


def _older(state: WwState, one: str, other: str) -> bool:
    """Whether ``one`` came first; whoever has no ticket takes no part in this."""
    tickets = state.tickets
    both = one in tickets and other in tickets
    return both and tickets.index(one) < tickets.index(other)


def _gives_way(ctx: WwAcquireCtx, lock: WwMutexState, me: str, holds: bool) -> bool:
    """Whether the running task, in front of a lock that is held, has to back off or to wound."""
    state, owner = ctx.cell.read(), lock.owner or ""
    if ctx.kind is WwClass.WAIT_DIE:
        return holds and _older(state, owner, me)
    if _older(state, me, owner):
        ctx.cell.update(_wound, owner)
    return holds and me in state.wounded


def _ww_mutex_lock(lock: WwMutex, ctx: WwAcquireCtx | None, holds: bool, state: TaskState) -> int:
    might_sleep(f"ww_mutex_lock({lock})")
    me = current_task()
    queued = False
    while True:
        restart(queued)
        with atomic():
            err = _attempt(lock, ctx, holds, me, queued, state)
        if err <= 0:
            break
        queued = True
    if not err:
        lock_acquire(lock.name)
    return err


WAIT = 1


def _attempt(
    lock: WwMutex, ctx: WwAcquireCtx | None, holds: bool, me: str, queued: bool, state: TaskState
) -> int:
    """One look at the lock, under its ``wait_lock``: 0, -errno, or to go and wait.

    A waiter is blocked here until the lock is free, or it has to back off, or a signal comes.
    """
    if lock.base.update(_take, me):
        return 0
    now = lock.base.read()
    if now.owner == me:
        return -EALREADY
    if ctx is not None and _gives_way(ctx, now, me, holds):
        lock.base.update(_dequeue, me)
        return -EDEADLK
    if not queued:
        lock.base.update(_enqueue, me)
        return WAIT
    task = current()
    if task.signals is None or not state & INTERRUPTED:
        lock.base.wait(_free)
        return WAIT
    task.signals.wait(interrupts, state)
    lock.base.update(_dequeue, me)
    return -EINTR


def _free(lock: WwMutexState) -> bool:
    return lock.owner is None


def _release(lock: WwMutexState, task: str) -> tuple[WwMutexState, None]:
    if lock.owner != task:
        raise Violation("lock imbalance", f"{task} unlocks a mutex of {lock.owner or 'nobody'}")
    return lock._replace(owner=None), None


def _label(function: str) -> Callable[..., str]:
    return lambda lock, *rest, **more: f"{function}({lock})"


@kernel_function("kernel/locking/mutex.c", label=_label("ww_mutex_lock"))
def ww_mutex_lock(lock: WwMutex, ctx: WwAcquireCtx | None = None, *, holds: bool = False) -> int:
    """Take the lock, or back off with -EDEADLK; ``holds`` other locks of the class, or none yet.

    A task that holds none always waits: that is how it gets in again after it backed off.
    """
    return _ww_mutex_lock(lock, ctx, holds, TASK_UNINTERRUPTIBLE)


@kernel_function("kernel/locking/mutex.c", label=_label("ww_mutex_lock_interruptible"))
def ww_mutex_lock_interruptible(
    lock: WwMutex, ctx: WwAcquireCtx | None = None, *, holds: bool = False
) -> int:
    """Take the lock, or back off; -EINTR where a signal ends the wait."""
    return _ww_mutex_lock(lock, ctx, holds, interruptible_sleep())


@kernel_function("include/linux/ww_mutex.h", label=_label("ww_mutex_trylock"))
def ww_mutex_trylock(lock: WwMutex) -> bool:
    """Take the lock if it is free."""
    taken = lock.base.update(_take, current_task())
    if taken:
        lock_acquire(lock.name)
    return taken


@kernel_function("kernel/locking/mutex.c", label=_label("ww_mutex_unlock"))
def ww_mutex_unlock(lock: WwMutex) -> None:
    """Give the lock back and wake those who wait."""
    lock.base.update(_release, current_task())
    lock_release(lock.name)
