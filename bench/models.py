"""The bench programs, in the explorer's own terms: no Linux here.

Each function returns a ``build`` for ``refault.explore.check``. Every program has a SPIN twin in
``promela/`` that takes exactly the same steps, so without any reduction both count the same states.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from refault.explore import (
    BLOCKED,
    Cell,
    Finding,
    Program,
    View,
    atomic,
    current_task,
    restart,
    scope,
)

Build = Callable[[Program], None]
Mutex = Cell[str | None]


def _holders(owner: str | None) -> dict[str, Any]:
    return {} if owner is None else {owner: "x"}


def _lock(owner: str | None, me: str) -> Any:
    return (me, None) if owner is None else BLOCKED


def _unlock(owner: str | None, me: str) -> tuple[None, None]:
    assert owner == me, f"{me} unlocks what {owner} holds"
    return None, None


def lock(mutex: Mutex) -> None:
    """Take the mutex in one step, waiting for it to be free."""
    mutex.update(_lock, current_task())


def unlock(mutex: Mutex) -> None:
    """Release the mutex in one step."""
    mutex.update(_unlock, current_task())


def _add(old: int, what: int) -> tuple[int, None]:
    return old + what, None


def philosophers(n: int, rounds: int = 1, swapped: bool = False) -> Build:
    """Dining philosophers: left fork first; if ``swapped``, the last one begins on the right.

    A meal is five steps: take, take, eat, put, put.
    """

    def build(p: Program) -> None:
        forks: list[Mutex] = [p.cell(f"fork{i}", None, holders=_holders) for i in range(n)]
        meals = [p.cell(f"meals{i}", 0) for i in range(n)]

        def philosopher(i: int) -> None:
            pair = [forks[i], forks[(i + 1) % n]]
            first, second = reversed(pair) if swapped and i == n - 1 else pair
            for _ in range(rounds):
                lock(first)
                lock(second)
                meals[i].update(_add, 1)
                unlock(second)
                unlock(first)

        for i in range(n):
            p.task(f"philosopher{i}", philosopher, i)

    return build


def _is_zero(value: int) -> bool:
    return value == 0


def lastzero(n: int) -> Build:
    """Writer ``j`` sets ``a[j] = a[j-1] + 1``; a reader looks for the last zero from ``a[n]`` down.

    Each read and each write is one step; the reader learns only whether it saw zero, and says in
    the same step where. 1 890 states for n=5, 99 651 for n=8, 1 390 501 for n=10, as Rumur and
    TLC count them.
    """

    def build(p: Program) -> None:
        a = [p.cell(f"a{j}", 0) for j in range(n + 1)]
        last = p.cell("last", n)

        def reader() -> None:
            i = n
            while True:
                restart(i)
                with atomic():
                    found = a[i].peek(_is_zero)
                    if found:
                        last.write(i)
                if found:
                    return
                i -= 1

        def writer(j: int) -> None:
            a[j].write(a[j - 1].read() + 1)

        p.task("reader", reader)
        for j in range(1, n + 1):
            p.task(f"writer{j}", writer, j)

    return build


def readers(n: int) -> Build:
    """One writer of x; each of ``n`` readers reads a cell of its own, then x."""

    def build(p: Program) -> None:
        x = p.cell("x", 0)
        own = [p.cell(f"own{i}", 0) for i in range(n)]

        @scope
        def reader(i: int) -> None:
            own[i].read()
            x.read()

        for i in range(n):
            p.task(f"reader{i}", reader, i)
        p.task("writer", x.write, 42)

    return build


def counter(n: int) -> Build:
    """``n`` threads, each ``t = x; x = t + 1`` without a lock."""

    def build(p: Program) -> None:
        x = p.cell("x", 0)

        @scope
        def thread() -> None:
            x.write(x.read() + 1)

        for i in range(n):
            p.task(f"thread{i}", thread)

    return build


def lockn(n: int) -> Build:
    """``n`` threads lock and unlock one mutex."""

    def build(p: Program) -> None:
        mutex: Mutex = p.cell("mutex", None, holders=_holders)

        def thread() -> None:
            lock(mutex)
            unlock(mutex)

        for i in range(n):
            p.task(f"thread{i}", thread)

    return build


def lastwrite(n: int) -> Build:
    """``n`` writers of x; the main thread joins them and reads x."""

    def build(p: Program) -> None:
        x = p.cell("x", -1)
        ended = [p.cell(f"ended{i}", False) for i in range(n)]

        def writer(i: int) -> None:
            x.write(i)
            ended[i].write(True)

        @scope
        def main() -> None:
            for e in ended:
                e.wait(bool)
            x.read()

        for i in range(n):
            p.task(f"writer{i}", writer, i)
        p.task("main", main)

    return build


def indexer(n: int) -> Build:
    """``n`` threads insert four messages each into a hash table of 128 cells, by linear probing.

    Thread ``t`` inserts ``w = 11 m + t`` for m = 1..4, from place ``7 w mod 128`` on, with one
    compare-and-exchange per place.
    """

    def build(p: Program) -> None:
        table = [p.cell(f"table{h}", 0) for h in range(128)]

        def thread(t: int) -> None:
            for m in range(1, 5):
                w = 11 * m + t
                h = 7 * w % 128
                while not table[h].cas(0, w):
                    h = (h + 1) % 128

        for t in range(n):
            p.task(f"thread{t}", thread, t)

    return build


def filesystem(n: int) -> Build:
    """``n`` threads assign a block to an inode: 32 inodes, 26 blocks, a lock each.

    Thread ``i`` takes inode ``i mod 32``; if it has no block, the first free one from
    ``2 i mod 26`` on.
    """
    inodes, blocks = 32, 26

    def build(p: Program) -> None:
        locki: list[Mutex] = [p.cell(f"locki{i}", None, holders=_holders) for i in range(inodes)]
        lockb: list[Mutex] = [p.cell(f"lockb{b}", None, holders=_holders) for b in range(blocks)]
        inode = [p.cell(f"inode{i}", 0) for i in range(inodes)]
        busy = [p.cell(f"busy{b}", False) for b in range(blocks)]

        def thread(tid: int) -> None:
            i = tid % inodes
            lock(locki[i])
            if inode[i].read() == 0:
                b = 2 * i % blocks
                while True:
                    lock(lockb[b])
                    if not busy[b].read():
                        busy[b].write(True)
                        inode[i].write(b + 1)
                        unlock(lockb[b])
                        break
                    unlock(lockb[b])
                    b = (b + 1) % blocks
            unlock(locki[i])

        for tid in range(n):
            p.task(f"thread{tid}", thread, tid)

    return build


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


def _active(q: Waiters) -> tuple[Waiters, bool]:
    return q, bool(q.pending | q.taken)


def _take_all(q: Waiters) -> tuple[Waiters, int]:
    return Waiters(), q.pending | q.taken


def _is(value: str, what: str) -> tuple[str, bool]:
    return value, value == what


def _copy(pte: str) -> tuple[str, bool]:
    return (RO, True) if pte == NONE else (pte, False)


class _Uffd:
    """One page under userfaultfd; the page table lock is a cell as any other."""

    def __init__(self, p: Program, n: int, wake_on_eexist: bool) -> None:
        self.wake_on_eexist = wake_on_eexist
        self.pte = p.cell("pte", NONE)
        self.ptl: Mutex = p.cell("ptl", None, holders=_holders)
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
        if self.pte.update(_is, RO):
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
        if self.pte.update(_is, NONE):
            self.sleeping[i].wait(_awake)

    def monitor(self) -> None:
        """Serve messages for ever: copy, wake."""
        while True:
            restart()
            self.queue.update(_read_message)
            lock(self.ptl)
            copied = self.pte.update(_copy)
            unlock(self.ptl)
            if (copied or self.wake_on_eexist) and self.queue.update(_active):
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
