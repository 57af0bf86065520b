"""Who should have woken whom: the last wake-up that came too early for a task left sleeping.

The explorer knows no wait queues. To it a sleeper is a task that waits, but not for a lock; a
wake-up is a call of a traced function with *wake* in its name by another task, or a step of it that
made come true what the sleeper waits for. It would have helped

* if it matters that one of its steps came before a step of the sleeper; or
* if the finding is out of reach once it waits until the sleeper is where it is at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ..operation import Done, Op
from ..trace import Missed, Order, Trace
from .prospects import Prospects
from .walk import Run

TRIED = 8
"""So many wake-ups of a sleeper are looked at, the last first."""


class _Wake(NamedTuple):
    """A wake-up: its first and last step, its task, and how it is called."""

    first: int
    last: int
    task: str
    call: str


def missed_wakeups(
    run: Run, prospects: Prospects, trace: Trace, orders: tuple[Order, ...]
) -> tuple[Missed, ...]:
    """For each task that waits at the end, the last wake-up that came too early for it."""
    calls = list(_calls(trace))
    found: list[Missed] = []
    for sleeper, waits in run.waiting():
        task = run.walker.tasks[sleeper]
        if waits.cell.holders is not None or task.daemon:
            continue
        there = max((n for n, (t, _) in enumerate(run.path) if t == sleeper), default=-1)
        wakes = [w for w in (*calls, *_writes(run, waits)) if w.task != task.name]
        early = sorted((w for w in wakes if w.first < there), reverse=True)[:TRIED]
        wake = _ordered(early, orders, task.name) or _delayed(early, run, prospects, sleeper)
        if wake is not None:
            found.append(Missed(task.name, wake.task, wake.first, wake.call))
    return tuple(found)


def _calls(trace: Trace) -> Iterator[_Wake]:
    """The calls with *wake* in their names that took a step."""
    stacks: dict[str, list[tuple[int, str]]] = {}
    for event in trace.events:
        stack = stacks.setdefault(event.task, [])
        if event.kind == "enter":
            stack.append((event.step, event.name))
        elif event.kind == "exit":
            step, name = stack.pop()
            if "wake" in name and step <= event.step:
                yield _Wake(step, event.step, event.task, name)
    for task, stack in stacks.items():
        for step, name in stack:
            if "wake" in name:
                yield _Wake(step, trace.steps, task, name)


def _writes(run: Run, waits: Op) -> Iterator[_Wake]:
    """The steps that made what the sleeper waits for come true."""
    cell = waits.cell.index
    for at, (task, _) in enumerate(run.path):
        for op in run.steps[at].ops:
            value = run.states[at + 1].values[cell]
            if op.cell is waits.cell and not op.reads and isinstance(waits.outcome(value), Done):
                yield _Wake(at, at, run.walker.tasks[task].name, f"{op.name}({op.cell.name})")


def _ordered(wakes: list[_Wake], orders: tuple[Order, ...], sleeper: str) -> _Wake | None:
    """The last wake-up of which it matters that it came before a step of the sleeper."""
    for order in sorted(orders, key=lambda o: -o.first):
        if order.matters and order.tasks[1] == sleeper:
            around = [w for w in wakes if w.first <= order.first <= w.last]
            if around:
                return _plain(around)._replace(first=order.first)
    return None


def _delayed(wakes: list[_Wake], run: Run, prospects: Prospects, sleeper: int) -> _Wake | None:
    """The last wake-up that would have helped had it come when the sleeper was there."""
    for wake in wakes:
        state = run.delayed(wake.first, len(run), sleeper)
        if state is not None and prospects.reachable(state) is False:
            return _plain([w for w in wakes if w.first == wake.first])
    return None


def _plain(wakes: list[_Wake]) -> _Wake:
    """Of calls within each other the outermost, but sooner one that has a line (no ``~``)."""
    best = min(wakes, key=lambda w: (w.call.startswith("~"), w.first, -w.last))
    return best._replace(call=best.call.lstrip("~"))
