"""What a run that can go no further is called, and why, in the kernel's terms.

A terminal state is one in which no task can take a step. Where all have returned but servers that
wait for work, it is a good end. Otherwise it is, in this order:

* **lock imbalance**: a task returned and still holds a lock;
* **use after free**: a task returned, and an entry on its stack is still on a wait queue;
* **lost wakeup**: a task sleeps though what it waits for has come, and nobody is left to wake it.
  For a fault that is a PTE with which the access would succeed now, or at least get further, or a
  mapping that is no longer registered; for a monitor in ``read(2)``, a message in the queue; for
  others, the condition that they wait for;
* **unserved fault**: a task sleeps for a page that is rightly missing or protected, all others
  have returned or wait for work, and its message has been read or nobody reads;
* **unread event**: the same of a task that waits for an event of its own to be read;
* **leak**: all have returned, and a count of a userfaultfd says otherwise;
* **deadlock**: anything else, told by who waits for which lock and who holds it.

A task that has been killed and does not die is named, whatever else is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from refault.explore import Finding
from refault.linux.fs.userfaultfd.trouble import (
    Sender,
    Waiter,
    gone_on,
    leaks,
    reading,
    senders,
    told_reader,
    waiters,
)
from refault.linux.include.linux.sched import TASK_RUNNING
from refault.linux.include.uapi.userfaultfd import PagefaultFlag
from refault.linux.kernel.trouble import (
    holders,
    overslept,
    pending_signals,
    sleeping_on,
    stale_entries,
    unkillable,
)

if TYPE_CHECKING:
    from refault.explore import View
    from refault.linux.machine import Kernel


def diagnose(kernel: Kernel, view: View) -> Finding | None:
    """Judge a terminal state."""
    left = [name for name in view.blocked() if not kernel.task(name).daemon]
    if not left and all(view.done(name) for name in kernel.tasks):
        return _imbalance(kernel, view) or _stale(kernel, view) or _leak(kernel, view)
    return (
        _imbalance(kernel, view)
        or _stale(kernel, view)
        or _lost(kernel, view)
        or _unserved(kernel, view, left)
        or _deadlock(kernel, view, left)
    )


def _imbalance(kernel: Kernel, view: View) -> Finding | None:
    held = [
        f"{name} has returned and still holds {cell.name}"
        for cell in kernel.program.cells
        if cell.holders is not None
        for name in cell.holders(view[cell])
        if view.done(name)
    ]
    return Finding("lock imbalance", held[0], tuple(held)) if held else None


def _stale(kernel: Kernel, view: View) -> Finding | None:
    left = stale_entries(kernel, view)
    return Finding("use after free", left[0], tuple(left)) if left else None


def _sleeps(kernel: Kernel, view: View, name: str) -> bool:
    """Tell whether a task is in ``schedule()``."""
    pending = view.pending(name)
    state = kernel.task(name).state
    return pending is not None and pending.cell is state and view[state] != TASK_RUNNING


def _asleep(kernel: Kernel, view: View) -> Callable[[str], bool]:
    return lambda name: _sleeps(kernel, view, name)


def _leak(kernel: Kernel, view: View) -> Finding | None:
    found = [line for ctx in kernel.uffds for line in leaks(ctx, view)]
    return Finding("leak", found[0], tuple(found)) if found else None


def _lost(kernel: Kernel, view: View) -> Finding | None:
    detail: list[str] = []
    victims: list[str] = []
    for waiter in waiters(kernel.uffds, view, _asleep(kernel, view)):
        news = gone_on(view, waiter)
        if news:
            victims.append(waiter.task)
            detail += _sleeper(kernel, view, waiter, news)
    for ctx in kernel.uffds:
        for task in told_reader(ctx, view, _asleep(kernel, view)):
            victims.append(task)
            detail.append(f"{task} sleeps in read(2) though a message is there")
    for task, line in overslept(kernel, view, _asleep(kernel, view)):
        victims.append(task)
        detail.append(line)
    if not victims:
        return None
    detail += [*_others(kernel, view, victims), *unkillable(kernel, view, ended=True)]
    return Finding("lost wakeup", f"{' and '.join(victims)} will sleep for ever", tuple(detail))


def _sleeper(kernel: Kernel, view: View, waiter: Waiter, pte: str) -> list[str]:
    state = view[kernel.task(waiter.task).state]
    why = "write-protected" if waiter.msg.flags & PagefaultFlag.WP else "missing"
    if waiter.msg.flags & PagefaultFlag.MINOR:
        why = "minor-faulting"
    return [
        f"{waiter.task} sleeps in handle_userfault(), {state}, on {waiter.queue}, "
        f"for a {why} page at {waiter.msg.address:#x}",
        pte,
        "its message has been read" if waiter.read else "its message is still unread",
    ]


def _others(kernel: Kernel, view: View, victims: list[str]) -> list[str]:
    """Say what keeps each other task from waking them."""
    lines = [f"{name} has returned" for name in kernel.tasks if view.done(name)]
    for name in view.blocked():
        if name not in victims:
            lines.append(f"{name} {_waits(kernel, view, name)}")
    faults = {waiter.task for waiter in waiters(kernel.uffds, view, _asleep(kernel, view))}
    whoever = "whoever resolves the fault" if faults & set(victims) else "somebody"
    return [
        f"{whoever} should wake it; nobody is left to{':' * bool(lines)}",
        *lines,
    ]


def _waits(kernel: Kernel, view: View, name: str) -> str:
    """Say in a few words what a task waits for."""
    for ctx in kernel.uffds:
        if reading(ctx, view, name):
            return "waits in read(2): there is nothing to read"
    for waiter in waiters(kernel.uffds, view, _asleep(kernel, view)):
        if waiter.task == name:
            return f"waits in handle_userfault() for the page at {waiter.msg.address:#x}"
    for sender in senders(kernel.uffds, view, _asleep(kernel, view)):
        if sender.task == name:
            return f"waits for its event to be read: {sender.msg}"
    if _sleeps(kernel, view, name):
        on = sleeping_on(kernel, view, name)
        if on:
            return on
        return f"sleeps, {view[kernel.task(name).state]}, and nobody wakes it"
    pending = view.pending(name)
    if pending is None:
        return "has returned"
    if pending.cell.holders is None:
        return f"waits: {pending}"
    return f"waits for {pending.cell.name}, {holders(pending.cell, view, name)}"


def _unserved(kernel: Kernel, view: View, left: list[str]) -> Finding | None:
    faults = [w for w in waiters(kernel.uffds, view, _asleep(kernel, view)) if w.task in left]
    events = [s for s in senders(kernel.uffds, view, _asleep(kernel, view)) if s.task in left]
    if not left or {w.task for w in faults} | {s.task for s in events} != set(left):
        return None
    detail: list[str] = []
    for waiter in faults:
        pte = view[waiter.ctx.mm.pte(waiter.msg.address)]
        detail += _sleeper(kernel, view, waiter, f"its PTE is {pte}")
    detail += [_sender(kernel, view, sender) for sender in events]
    detail += _others(kernel, view, left)
    kind = "unserved fault" if faults else "unread event"
    return Finding(kind, f"{' and '.join(left)} will sleep for ever", tuple(detail))


def _sender(kernel: Kernel, view: View, sender: Sender) -> str:
    state = view[kernel.task(sender.task).state]
    return (
        f"{sender.task} sleeps in userfaultfd_event_wait_completion(), {state}, "
        f"on {sender.ctx.event_wqh}, until somebody reads: {sender.msg}"
    )


def _deadlock(kernel: Kernel, view: View, left: list[str]) -> Finding | None:
    if not left:
        return None
    detail = tuple(_line(kernel, view, name) for name in view.blocked())
    verb = "waits" if len(left) == 1 else "wait"
    dying = unkillable(kernel, view, ended=True)
    return Finding("deadlock", f"{', '.join(left)} {verb} for ever", (*detail, *dying))


def _line(kernel: Kernel, view: View, name: str) -> str:
    signals = pending_signals(kernel, view, name)
    return f"{name} {_waits(kernel, view, name)}{f'; {signals}' if signals else ''}"
