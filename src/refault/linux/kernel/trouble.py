"""What can be wrong with tasks and their locks at the end of a run, in the kernel's words."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from refault.linux.include.linux.sched import TASK_STOPPED
from refault.linux.include.linux.sched.signal import ThreadSignals
from refault.linux.include.uapi.signal import sigset
from refault.linux.kernel.locking.rwsem import RwsemState
from refault.linux.kernel.sched.wait import WaitQueueEntry, WaitQueueHead

if TYPE_CHECKING:
    from refault.explore import Cell, View
    from refault.linux.machine import Kernel
    from refault.linux.task import Task

Asleep = Callable[[str], bool]


def queued(kernel: Kernel, view: View) -> Iterator[tuple[WaitQueueHead, WaitQueueEntry]]:
    """Each entry on each wait queue."""
    for queue in kernel.program.context.get("wait queues", ()):
        for entry in view[queue.head]:
            yield queue, entry


def stale_entries(kernel: Kernel, view: View) -> list[str]:
    """Entries on queues whose task has returned: they were on its stack."""
    return [
        f"{entry.task} has returned, and its entry is still on {queue}"
        for queue, entry in queued(kernel, view)
        if view.done(entry.task)
    ]


def overslept(kernel: Kernel, view: View, asleep: Asleep) -> Iterator[tuple[str, str]]:
    """Tasks that sleep on a queue for what has come, each with a line about it."""
    for queue, entry in queued(kernel, view):
        until = entry.until
        if until is None or not asleep(entry.task):
            continue
        if until.holds(view[until.cell], *until.args):
            state = view[kernel.task(entry.task).state]
            yield entry.task, f"{entry.task} sleeps on {queue}, {state}, though {_come(until.cell)}"


def _come(cell: Cell[Any]) -> str:
    return f"{cell.name} is free" if cell.holders is not None else f"{cell.name} has changed"


def sleeping_on(kernel: Kernel, view: View, name: str) -> str:
    """Say on what a task sleeps, if that can be told; else nothing."""
    task = kernel.task(name)
    if view[task.state] == TASK_STOPPED:
        return "is stopped, and nobody sends it SIGCONT"
    for queue, entry in queued(kernel, view):
        if entry.task == name and entry.until is not None:
            return f"sleeps on {queue}, {view[task.state]}, {_for(entry.until.cell, view)}"
    return ""


def _for(cell: Cell[Any], view: View) -> str:
    if cell.holders is None:
        return f"until {cell.name} changes"
    return f"for {cell.name}, {holders(cell, view, '')}"


def holders(cell: Cell[Any], view: View, waiter: str) -> str:
    """Say who holds a lock, and which queued writer a reader has to wait for."""
    assert cell.holders is not None
    value = view[cell]
    held = [_held(name, mode == "x", waiter) for name, mode in cell.holders(value).items()]
    if isinstance(value, RwsemState) and (waiter, "r") in value.queue:
        ahead = value.queue[: value.queue.index((waiter, "r"))]
        held += [f"behind the queued writer {task}" for task, kind in ahead if kind == "w"]
        if waiter in value.readers:
            held.append("a recursive read lock")
    return ", ".join(held) or "which is free"


def _held(name: str, exclusive: bool, waiter: str) -> str:
    who = "itself" if name == waiter else name
    return f"{'held' if exclusive else 'read-locked'} by {who}"


def unkillable(kernel: Kernel, view: View, *, ended: bool) -> tuple[str, ...]:
    """Say which tasks have been killed and have not died; ``ended`` is whether nobody can go on."""
    lines = []
    for task in kernel.tasks.values():
        if task.signals is None or view.done(task.name):
            continue
        signals = view[task.signals]
        if signals.killed or _process_killed(task, view):
            why = _why(task, signals, view, ended)
            lines.append(f"{task} has been killed and cannot die: {why}")
    return tuple(lines)


def _process_killed(task: Task, view: View) -> bool:
    return task.process is not None and view[task.process.shared].group_exit is not None


def _why(task: Task, signals: ThreadSignals, view: View, ended: bool) -> str:
    state, pending = view[task.state], view.pending(task.name)
    if signals.exiting:
        return "it is on its way out"
    if state:
        return f"it sleeps in {state}"
    if ended and pending is not None and pending.cell.holders is not None:
        return f"it waits uninterruptibly for {pending.cell.name}"
    return "it does not get back to user mode"


def pending_signals(kernel: Kernel, view: View, name: str) -> str:
    """Say which signals wait for a task, and why they wait; else nothing."""
    task = kernel.task(name)
    if task.signals is None or task.process is None:
        return ""
    signals = view[task.signals]
    waiting = sigset((*signals.pending, *view[task.process.shared].pending))
    if not waiting:
        return ""
    blocked = all(sig in signals.blocked for sig in waiting)
    return f"{', '.join(map(str, waiting))} pending{' and blocked' if blocked else ''}"
