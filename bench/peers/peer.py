"""What all peers have in common: commands that compile, one that searches, a report to read."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import NamedTuple

from bench.process import GIB, Usage, run
from bench.programs import Bench

BENCH = Path(__file__).parent.parent


class Bounds(NamedTuple):
    """What a run may take: seconds, compilation included; bytes. ``exact``: see ``Peer``."""

    seconds: float = 60.0
    memory: int = 4 * GIB
    as_written: bool = False
    exact: bool = False


class Said(NamedTuple):
    """What a checker reports: how many states or traces, and whether it found an error.

    ``first``: it stopped there, and did not explore the rest.
    """

    counted: int
    found: bool
    first: bool = False


class Measured(NamedTuple):
    """One run: seconds by the wall and of CPU, compilation included, and by the wall without it.

    ``peak``: bytes resident at the peak of the search, ``said``: ``None`` if it did not come to
    an end, and then ``stopped`` says why not: ``time``, ``memory``, ``gave up``, or ``first``: it
    stopped at the first finding, which is not what the others do.
    """

    seconds: float
    cpu: float
    alone: float
    peak: int
    said: Said | None
    stopped: str = ""


class Peer(NamedTuple):
    """A checker that takes twins of the bench programs.

    ``version`` is ``None`` if it is not here. ``commands`` translate, compile and, the last one,
    search, in the folder given; ``read`` its output. With ``Bounds.exact`` it counts what refault
    counts (no reduction of states; every trace), which the tests compare; otherwise it runs as it
    comes.
    """

    name: str
    counts: str
    version: Callable[[], str | None]
    get: str
    twin: Callable[[Bench], Path]
    commands: Callable[[Bench, Path, Bounds], list[list[str]]]
    read: Callable[[str], Said | None]
    statuses: tuple[int, ...] = (0,)

    def has(self, bench: Bench) -> bool:
        """Whether there is a twin of the program."""
        return self.twin(bench).exists()

    def measure(self, bench: Bench, folder: Path, bounds: Bounds) -> Measured:
        """Compile and search once; raises ``RuntimeError`` if the twin does not compile."""
        *compile_, search = self.commands(bench, folder, bounds)
        usages = [self._compiled(c, folder, bounds) for c in compile_]
        spent = sum(u.wall for u in usages)
        left = max(0.1, bounds.seconds - spent)
        last = run(search, timeout=left, memory=bounds.memory, cwd=folder)
        cpu = last.cpu + sum(u.cpu for u in usages)
        said, stopped = None, last.stopped
        if not stopped:
            said = self.read(last.output) if last.status in self.statuses else None
            stopped = "" if said else "gave up"
            if said and said.first and not bounds.exact:
                said, stopped = None, "first"
        return Measured(last.wall + spent, cpu, last.wall, last.peak, said, stopped)

    def _compiled(self, command: list[str], folder: Path, bounds: Bounds) -> Usage:
        usage = run(command, timeout=120, memory=bounds.memory, cwd=folder)
        if not usage.ok:
            raise RuntimeError(f"{self.name}: {command[0]} failed: {usage.output.strip()[-800:]}")
        return usage


def number(pattern: str, text: str) -> int:
    """The number that the group of ``pattern`` matches; 0 if it is not there."""
    found = re.search(pattern, text)
    return int(float(found[1])) if found else 0


@cache
def says(command: tuple[str, ...], pattern: str) -> str | None:
    """What a program prints of its version; ``None`` if it is not here, or does not run."""
    try:
        usage = run(list(command), timeout=20)
    except OSError:
        return None
    found = re.search(pattern, usage.output)
    return found[1] if found else None
