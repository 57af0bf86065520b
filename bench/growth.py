"""Time and memory against size: ``python -m bench.growth --save FILE [--plot docs/growth.svg]``.

Three programs, each with the peer that is made for it: philosophers of two rounds and faulters
under userfaultfd with SPIN, where states are stored; lastzero with GenMC, where traces are run.
Each grows until it does not finish within the bounds.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from bench.command import keep
from bench.measure import MEGA, Plan, refault_bench, surroundings
from bench.peers.found import PEERS
from bench.peers.peer import Bounds, Measured
from bench.process import GIB
from bench.programs import Bench, lastzero, philosophers, uffd

MOST_HASH_BITS = 28


class Series(NamedTuple):
    """A program of each size, from ``smallest`` on, and the peer that it is compared with."""

    title: str
    size: str
    smallest: int
    make: Callable[[int], Bench]
    peer: str


SERIES = {
    "philosophers": Series(
        "Philosophers, two rounds, deadlocking",
        "philosophers",
        3,
        lambda n: philosophers(n, 2, 0, min(MOST_HASH_BITS, 3 * n + 1)),
        "SPIN",
    ),
    "uffd": Series(
        "Faulters on one page, and a monitor",
        "faulters",
        1,
        lambda n: uffd(n, hash_bits=min(MOST_HASH_BITS, 4 * n + 3)),
        "SPIN",
    ),
    "lastzero": Series("Last zero", "writers", 8, lastzero, "GenMC"),
}

Point = dict[str, Any]


def _point(name: str, who: str, size: int, one: Measured) -> Point:
    return {
        "series": name,
        "who": who,
        "size": size,
        "s": round(one.seconds, 3),
        "mb": round(one.peak / MEGA, 1),
        "counted": one.said.counted if one.said else None,
        "stopped": one.stopped if not one.said else "",
    }


def _peer_once(name: str, bench: Bench, plan: Plan) -> Measured:
    (peer,) = (p for p in PEERS if p.name == name)
    with tempfile.TemporaryDirectory(prefix="refault-growth-") as folder:
        return peer.measure(bench, Path(folder), Bounds(plan.timeout, plan.memory))


def grow(name: str, who: str, plan: Plan, largest: int) -> Iterable[Point]:
    """Measure one checker on one program, larger and larger, to the first that does not finish."""
    series = SERIES[name]
    for size in range(series.smallest, largest + 1):
        bench = series.make(size)
        one = refault_bench(bench, plan) if who == "refault" else _peer_once(who, bench, plan)
        yield _point(name, who, size, one)
        if not one.said:
            return


def main() -> None:
    """Measure what is not in FILE yet; draw it."""
    parser = argparse.ArgumentParser(prog="bench.growth", description=__doc__)
    parser.add_argument("--save", type=Path, required=True, metavar="FILE", help="JSON, kept")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="SVG or PNG (wants matplotlib)")
    parser.add_argument("--timeout", type=float, default=120, help="seconds for each run")
    parser.add_argument("--memory", type=float, default=16, help="GiB for each run (default 16)")
    parser.add_argument("--largest", type=int, default=64, help="size to stop at")
    asked = parser.parse_args()
    plan = Plan(timeout=asked.timeout, memory=int(asked.memory * GIB))
    here = surroundings()
    kept = json.loads(asked.save.read_text()) if asked.save.exists() else {"points": []}
    points: list[Point] = kept["points"]
    known = {(p["series"], p["who"]) for p in points}
    for name, series in SERIES.items():
        for who in ("refault", series.peer):
            if (name, who) in known or (who != "refault" and who not in here["versions"]):
                continue
            measured = []
            for point in grow(name, who, plan, asked.largest):
                print(json.dumps(point), flush=True)
                measured.append(point)
            points += measured
            bounds = {"timeout_s": asked.timeout, "memory_gib": asked.memory}
            keep({**here, **bounds, "points": points}, asked.save)
    if asked.plot:
        from bench.plot import draw  # noqa: PLC0415

        draw(json.loads(asked.save.read_text()), asked.plot)


if __name__ == "__main__":
    main()
