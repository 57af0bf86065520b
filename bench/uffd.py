"""A page under userfaultfd as a program of the bench: abstract, the size of a Promela model.

What is left of the kernel: a PTE, the page table lock, the queue of waiters, ``must_wait``, one
sleep, the copy, the wake, and the moment in which copy on write clears the PTE.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from bench.mutex import Build, Mutex, holders, lock, unlock

from refault.explore import BLOCKED, Finding, Program, View, atomic, restart, scope

NONE, RO, RW = "none", "ro", "rw"


class Waiters(NamedTuple):
    """Faulters on the queue, as bit masks: not yet read by the monitor, and read."""

    pending: int = 0
    taken: int = 0


def _enqueue(q: Waiters, i: int) -> tuple[Waiters, None]:
    return Waiters(q.pending | 1 << i, q.taken), None


def _dequeue(q: Waiters, i: int) -> tuple[Waiters, None]:
    return Waiters(q.pending & ~(1 << i), q.taken & ~(1 << i)), None


def _read_message(q: Waiters) -> Any:
    lowest = q.pending & -q.pending
    return (Waiters(q.pending ^ lowest, q.taken | lowest), None) if lowest else BLOCKED


def _active(q: Waiters) -> bool:
    return bool(q.pending | q.taken)


def _take_all(q: Waiters) -> tuple[Waiters, int]:
    return Waiters(), q.pending | q.taken


def _is(value: str, what: str) -> bool:
    return value == what


def _copy(pte: str) -> tuple[str, bool]:
    return (RO, True) if pte == NONE else (pte, False)


class _Uffd:
    """One page under userfaultfd; the page table lock is a cell as any other."""

    def __init__(self, p: Program, n: int, wake_on_eexist: bool) -> None:
        self.wake_on_eexist = wake_on_eexist
        self.pte = p.cell("pte", NONE)
        self.ptl: Mutex = p.cell("ptl", None, holders=holders)
        self.queue = p.cell("queue", Waiters())
        self.sleeping = [p.cell(f"sleeping{i}", False) for i in range(n)]

    def faulter(self, i: int) -> None:
        """Write to the page; fault until that works."""
        while True:
            restart()
            pte = self.pte.read()
            if pte == RW:
                return
            if pte == RO:
                self.wp_page_copy()
            else:
                self.handle_userfault(i)

    def wp_page_copy(self) -> None:
        """Make the page writable; the PTE is clear for a moment."""
        lock(self.ptl)
        if self.pte.peek(_is, RO):
            self.pte.write(NONE)
            self.pte.write(RW)
        unlock(self.ptl)

    def handle_userfault(self, i: int) -> None:
        """Queue up, and sleep if the page is missing still."""
        with atomic():
            self.queue.update(_enqueue, i)
            self.sleeping[i].write(True)
        self.wait_for_page(i)
        self.sleeping[i].write(False)
        self.queue.update(_dequeue, i)

    @scope
    def wait_for_page(self, i: int) -> None:
        """``must_wait`` without the page table lock, then ``schedule``."""
        if self.pte.peek(_is, NONE):
            self.sleeping[i].wait(_awake)

    def monitor(self) -> None:
        """Serve messages for ever: copy, wake."""
        while True:
            restart()
            self.queue.update(_read_message)
            lock(self.ptl)
            copied = self.pte.update(_copy)
            unlock(self.ptl)
            if (copied or self.wake_on_eexist) and self.queue.peek(_active):
                self.wake_all()

    def wake_all(self) -> None:
        """Wake everybody on the queue, in one step as its lock makes it."""
        with atomic():
            woken = self.queue.update(_take_all)
            for i, sleeping in enumerate(self.sleeping):
                if woken >> i & 1:
                    sleeping.write(False)


def _awake(sleeping: bool) -> bool:
    return not sleeping


def uffd(n: int, wake_on_eexist: bool = True) -> Build:
    """``n`` threads write to a missing page, one monitor copies it in, write-protected.

    A monitor that does not wake after a copy that found the page already there loses a wakeup: the
    first writer's copy on write clears the PTE for a moment, and a late faulter sees just that.
    """

    def build(p: Program) -> None:
        page = _Uffd(p, n, wake_on_eexist)
        faulters = [f"faulter{i}" for i in range(n)]
        for i, name in enumerate(faulters):
            p.task(name, page.faulter, i)
        p.task("monitor", page.monitor, daemon=True)

        def judge(view: View) -> Finding | None:
            left = [name for name in faulters if not view.done(name)]
            return Finding("lost wakeup", f"{', '.join(left)} sleep for ever") if left else None

        p.at_end(judge)

    return build
