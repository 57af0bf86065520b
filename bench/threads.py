"""The bench programs as Python threads, for frontrun: ``frontrun python threads.py NAME N``.

Prints how many executions it took to explore every interleaving, and ``finding`` if one went wrong.
A cell is a local variable before its value is touched: of ``cells[i].value = 1`` in one expression
frontrun 0.7 does not see what is written.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any

State = dict[str, Any]
Worker = Callable[[Any], None]
Twin = tuple[Callable[[], Any], list[Worker]]


class Cell:
    """A shared variable."""

    def __init__(self, value: int = 0) -> None:
        self.value = value


def counter(n: int) -> Twin:
    """``n`` threads, each ``t = x; x = t + 1``."""

    def thread(x: Cell) -> None:
        t = x.value
        x.value = t + 1

    return Cell, [thread] * n


def lockn(n: int) -> Twin:
    """``n`` threads lock and unlock one mutex."""

    def thread(locks: list[threading.Lock]) -> None:
        locks[0].acquire()
        locks[0].release()

    return lambda: [threading.Lock()], [thread] * n


def philosophers(n: int, rounds: int = 1, swapped: int = 0) -> Twin:
    """Dining philosophers; eating is local."""

    def philosopher(i: int) -> Worker:
        pair = [i, (i + 1) % n]
        first, second = reversed(pair) if swapped and i == n - 1 else pair

        def dine(locks: list[threading.Lock]) -> None:
            for _ in range(rounds):
                locks[first].acquire()
                locks[second].acquire()
                locks[second].release()
                locks[first].release()

        return dine

    return lambda: [threading.Lock() for _ in range(n)], [philosopher(i) for i in range(n)]


def readers(n: int) -> Twin:
    """One writer of x; each reader reads a cell of its own, then x."""

    def reader(i: int) -> Worker:
        def read(cells: list[Cell]) -> None:
            own, x = cells[i], cells[n]
            _ = own.value
            _ = x.value

        return read

    def writer(cells: list[Cell]) -> None:
        x = cells[n]
        x.value = 42

    return lambda: [Cell() for _ in range(n + 1)], [*map(reader, range(n)), writer]


def lastzero(n: int) -> Twin:
    """Writer j sets ``a[j] = a[j-1] + 1``; a reader looks for the last zero from the end down."""

    def reader(a: list[Cell]) -> None:
        i = n
        last = a[i]
        while last.value != 0:
            i -= 1
            last = a[i]

    def writer(j: int) -> Worker:
        def write(a: list[Cell]) -> None:
            before, at = a[j - 1], a[j]
            t = before.value
            at.value = t + 1

        return write

    return lambda: [Cell() for _ in range(n + 1)], [reader, *map(writer, range(1, n + 1))]


TWINS: dict[str, Callable[..., Twin]] = {
    f.__name__: f for f in (counter, lockn, philosophers, readers, lastzero)
}


def main() -> None:
    """Explore every interleaving of the program that the command line names."""
    import frontrun  # noqa: PLC0415

    name, *arguments = sys.argv[1:]
    setup, workers = TWINS[name](*map(int, arguments))
    result = frontrun.explore(
        setup=setup,
        workers=workers,
        invariant=lambda _: True,
        stop_on_first=False,
        max_executions=None,
        preemption_bound=None,
        reproduce_on_failure=0,
    )
    print(f"explored {result.num_explored}", "" if result.property_holds else "finding")


if __name__ == "__main__":
    main()
