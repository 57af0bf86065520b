"""What a run that can go no further is called, and why, in the kernel's terms.

A terminal state is one in which no task can take a step. Where all have returned but servers that
wait for work, it is a good end. Otherwise it is, in this order:

* **lock imbalance**: a task returned and still holds a lock;
* **lost wakeup**: a task sleeps though what it waits for has come, and nobody is left to wake it.
  For a fault that is a PTE with which the access would succeed now, or at least get further; for a
  monitor in ``read(2)``, a message in the queue;
* **unserved fault**: a task sleeps for a page that is rightly missing or protected, all others
  have returned or wait for work, and its message has been read or nobody reads;
* **deadlock**: anything else, told by who waits for which lock and who holds it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from refault.explore import Finding
from refault.linux.include.linux.pgtable import Pte
from refault.linux.include.linux.sched import TASK_RUNNING
from refault.linux.include.uapi.userfaultfd import PagefaultFlag, UffdMsg
from refault.linux.kernel.locking.rwsem import RwsemState

if TYPE_CHECKING:
    from refault.explore import Cell, View
    from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
    from refault.linux.machine import Kernel


class Waiter(NamedTuple):
    """A task asleep in ``handle_userfault()``."""

    task: str
    ctx: UserfaultfdCtx
    queue: str
    read: bool
    msg: UffdMsg


def resolved(pte: Pte, flags: PagefaultFlag) -> bool:
    """Tell whether an access that faulted for this reason would not raise the same fault again."""
    if flags & PagefaultFlag.WP:
        return not pte.none_mostly and not pte.uffd_wp
    return not pte.none_mostly


def diagnose(kernel: Kernel, view: View) -> Finding | None:
    """Judge a terminal state."""
    left = [name for name in view.blocked() if not kernel.task(name).daemon]
    if not left and all(view.done(name) for name in kernel.tasks):
        return _imbalance(kernel, view)
    return (
        _imbalance(kernel, view)
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


def _sleeps(kernel: Kernel, view: View, name: str) -> bool:
    """Tell whether a task is in ``schedule()``."""
    pending = view.pending(name)
    state = kernel.task(name).state
    return pending is not None and pending.cell is state and view[state] != TASK_RUNNING


def _waiters(kernel: Kernel, view: View) -> Iterator[Waiter]:
    for ctx in kernel.uffds:
        for queue, read in ((ctx.fault_pending_wqh, False), (ctx.fault_wqh, True)):
            for entry in view[queue.head]:
                if entry.msg is not None and _sleeps(kernel, view, entry.task):
                    yield Waiter(entry.task, ctx, queue.name, read, entry.msg)


def _lost(kernel: Kernel, view: View) -> Finding | None:
    detail: list[str] = []
    victims: list[str] = []
    for waiter in _waiters(kernel, view):
        pte = view[waiter.ctx.mm.pte(waiter.msg.address)]
        if resolved(pte, waiter.msg.flags):
            victims.append(waiter.task)
            detail += _sleeper(kernel, view, waiter, f"the page is there: its PTE is {pte}")
    for ctx in kernel.uffds:
        for entry in view[ctx.fd_wqh.head]:
            if _sleeps(kernel, view, entry.task) and view[ctx.fault_pending_wqh.head]:
                victims.append(entry.task)
                detail.append(f"{entry.task} sleeps in read(2) though a message is there")
    if not victims:
        return None
    detail += _others(kernel, view, victims)
    return Finding("lost wakeup", f"{' and '.join(victims)} will sleep for ever", tuple(detail))


def _sleeper(kernel: Kernel, view: View, waiter: Waiter, pte: str) -> list[str]:
    state = view[kernel.task(waiter.task).state]
    why = "write-protected" if waiter.msg.flags & PagefaultFlag.WP else "missing"
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
    return [
        f"whoever resolves the fault should wake it; nobody is left to{':' * bool(lines)}",
        *lines,
    ]


def _waits(kernel: Kernel, view: View, name: str) -> str:
    """Say in a few words what a task waits for."""
    for ctx in kernel.uffds:
        if any(entry.task == name for entry in view[ctx.fd_wqh.head]):
            return "waits in read(2): there is nothing to read"
    for waiter in _waiters(kernel, view):
        if waiter.task == name:
            return f"waits in handle_userfault() for the page at {waiter.msg.address:#x}"
    if _sleeps(kernel, view, name):
        return f"sleeps, {view[kernel.task(name).state]}, and nobody wakes it"
    pending = view.pending(name)
    if pending is None:
        return "has returned"
    if pending.cell.holders is None:
        return f"waits: {pending}"
    return f"waits for {pending.cell.name}, {_holders(pending.cell, view, name)}"


def _holders(cell: Cell[Any], view: View, waiter: str) -> str:
    """Say who holds a lock, and which queued writer a reader has to wait for."""
    assert cell.holders is not None
    value = view[cell]
    held = [
        f"{'held' if mode == 'x' else 'read-locked'} by {name}"
        for name, mode in cell.holders(value).items()
    ]
    if isinstance(value, RwsemState) and (waiter, "r") in value.queue:
        ahead = value.queue[: value.queue.index((waiter, "r"))]
        held += [f"behind the queued writer {task}" for task, kind in ahead if kind == "w"]
    return ", ".join(held) or "which is free"


def _unserved(kernel: Kernel, view: View, left: list[str]) -> Finding | None:
    waiters = [waiter for waiter in _waiters(kernel, view) if waiter.task in left]
    if not left or {waiter.task for waiter in waiters} != set(left):
        return None
    detail: list[str] = []
    for waiter in waiters:
        pte = view[waiter.ctx.mm.pte(waiter.msg.address)]
        detail += _sleeper(kernel, view, waiter, f"its PTE is {pte}")
    detail += _others(kernel, view, left)
    return Finding("unserved fault", f"{' and '.join(left)} will sleep for ever", tuple(detail))


def _deadlock(kernel: Kernel, view: View, left: list[str]) -> Finding | None:
    if not left:
        return None
    detail = tuple(f"{name} {_waits(kernel, view, name)}" for name in view.blocked())
    return Finding("deadlock", f"{', '.join(left)} wait for ever", detail)
