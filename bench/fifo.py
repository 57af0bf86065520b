"""The page under userfaultfd with a queue in order of arrival: its faulters are identical.

In ``uffd`` the monitor reads the message of the faulter with the lowest number, which tells the
faulters apart. Here, as in the kernel, it is the oldest.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.mutex import Build, Mutex, holders, lock, unlock

from refault.explore import BLOCKED, Finding, Program, View, atomic, current_task, restart, scope

NONE, RO, RW = "none", "ro", "rw"


class Queue(NamedTuple):
    """Faulters whose message the monitor has not read, the oldest first, then those others."""

    pending: tuple[str, ...] = ()
    taken: tuple[str, ...] = ()


def _enqueue(q: Queue, who: str) -> tuple[Queue, None]:
    return Queue((*q.pending, who), q.taken), None


def _dequeue(q: Queue, who: str) -> tuple[Queue, None]:
    return Queue(_without(q.pending, who), _without(q.taken, who)), None


def _without(some: tuple[str, ...], who: str) -> tuple[str, ...]:
    return tuple(w for w in some if w != who)


def _read_message(q: Queue) -> Any:
    return (Queue(q.pending[1:], (*q.taken, q.pending[0])), None) if q.pending else BLOCKED


def _take_all(q: Queue) -> tuple[Queue, tuple[str, ...]]:
    return Queue(), (*q.taken, *q.pending)


def _active(q: Queue) -> bool:
    return bool(q.pending or q.taken)


def _is(value: str, what: str) -> bool:
    return value == what


def _copy(pte: str) -> tuple[str, bool]:
    return (RO, True) if pte == NONE else (pte, False)


def _awake(sleeping: bool) -> bool:
    return not sleeping


def fifo(n: int, wake_on_eexist: bool = True, symmetric: bool = True) -> Build:
    """``uffd`` with the oldest message first; ``symmetric`` declares the faulters identical."""

    def build(p: Program) -> None:
        pte = p.cell("pte", NONE)
        ptl: Mutex = p.cell("ptl", None, holders=holders)
        queue = p.cell("queue", Queue())
        faulters = [f"faulter{i}" for i in range(n)]
        sleeping = {name: p.cell(f"{name}.sleeping", False) for name in faulters}

        @scope
        def wait_for_page() -> None:
            if pte.peek(_is, NONE):
                sleeping[current_task()].wait(_awake)

        def faulter() -> None:
            me = current_task()
            while True:
                restart()
                seen = pte.read()
                if seen == RW:
                    return
                if seen == RO:
                    lock(ptl)
                    if pte.peek(_is, RO):
                        pte.write(NONE)
                        pte.write(RW)
                    unlock(ptl)
                    continue
                with atomic():
                    queue.update(_enqueue, me)
                    sleeping[me].write(True)
                wait_for_page()
                sleeping[me].write(False)
                queue.update(_dequeue, me)

        def wake_all() -> None:
            with atomic():
                for name in queue.update(_take_all):
                    sleeping[name].write(False)

        def monitor() -> None:
            while True:
                restart()
                queue.update(_read_message)
                lock(ptl)
                copied = pte.update(_copy)
                unlock(ptl)
                if (copied or wake_on_eexist) and queue.peek(_active):
                    wake_all()

        tasks = [p.task(name, faulter) for name in faulters]
        p.task("monitor", monitor, daemon=True)
        if symmetric:
            p.identical(*tasks)

        def judge(view: View) -> Finding | None:
            left = [name for name in faulters if not view.done(name)]
            return Finding("lost wakeup", f"{', '.join(left)} sleep for ever") if left else None

        p.at_end(judge)

    return build
