"""The bench programs, in the explorer's own terms: no Linux here.

Each function returns a ``build`` for ``refault.explore.check``. Those of the table have a SPIN twin
in ``promela/`` that takes exactly the same steps, so without any reduction both count the same
states; the others have numbers of traces that other checkers published.
"""

from __future__ import annotations

from bench.mutex import Build, Mutex, holders, lock, unlock
from bench.uffd import uffd

from refault.explore import Program, Violation, atomic, restart, scope

__all__ = [
    "counter",
    "filesystem",
    "indexer",
    "lastwrite",
    "lastzero",
    "lockn",
    "philosophers",
    "readers",
    "references",
    "uffd",
]


def _add(old: int, what: int) -> tuple[int, None]:
    return old + what, None


def philosophers(n: int, rounds: int = 1, swapped: bool = False) -> Build:
    """Dining philosophers: left fork first; if ``swapped``, the last one begins on the right.

    A meal is five steps: take, take, eat, put, put.
    """

    def build(p: Program) -> None:
        forks: list[Mutex] = [p.cell(f"fork{i}", None, holders=holders) for i in range(n)]
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
        mutex: Mutex = p.cell("mutex", None, holders=holders)

        def thread() -> None:
            lock(mutex)
            unlock(mutex)

        for i in range(n):
            p.task(f"thread{i}", thread)

    return build


def _count(old: int, by: int) -> tuple[int, None]:
    if not 0 <= old + by < 1_000:
        raise Violation("count runs wild", str(old + by))
    return old + by, None


def references(n: int) -> Build:
    """``n`` threads take a reference and drop it; the count has limits, which nobody meets."""

    def build(p: Program) -> None:
        count = p.cell("count", 1)

        def thread() -> None:
            count.update(_count, 1)
            count.update(_count, -1)

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
        locki: list[Mutex] = [p.cell(f"locki{i}", None, holders=holders) for i in range(inodes)]
        lockb: list[Mutex] = [p.cell(f"lockb{b}", None, holders=holders) for b in range(blocks)]
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
