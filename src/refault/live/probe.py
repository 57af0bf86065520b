"""What ``refault probe`` has done on a kernel: an inventory, and litmus tests in little time.

``main`` takes and gives what JSON can hold, so that it can be done on another machine.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from refault.litmus.program import Outcome, Program

from .abi import Unavailable
from .facts import gather
from .inventory import take
from .play.observe import perform
from .play.record import NotListed
from .play.rounds import batches
from .puppet import TimedOut

ENOUGH = 1 << 20
"""Runs that no program makes in its time."""


def main(work: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the kernel is, what there is, and outcomes of ``work["programs"]``.

    These are pairs of a name and a program. One that races is run again and again for
    ``work["seconds"]``, any other once: its outcome is the same each time.
    """
    yield gather()
    yield from take()
    for name, data in work["programs"]:
        answer: dict[str, Any] = {"name": name, "outcomes": [], "missing": "", "remedy": ""}
        try:
            seen = observe(Program.from_json(data), work["seconds"], work["seed"], work["spin"])
            answer["outcomes"] = [[list(map(list, o)), count] for o, count in seen.items()]
        except Unavailable as error:
            answer |= {"missing": error.message, "remedy": error.remedy}
        except TimedOut as error:
            answer |= {"missing": str(error), "remedy": "try again on a machine with less to do"}
        yield answer


def observe(program: Program, seconds: float, seed: int, spin: float) -> Counter[Outcome]:
    """Count the outcomes of one run, or of as many as there is time for if they can differ."""
    if not program.races:
        return Counter(perform(program, 1, seed=seed, spin=spin))
    found, deadline = Counter[Outcome](), time.monotonic() + seconds
    try:
        for outcomes in batches(program, ENOUGH, seed=seed, spin=spin):
            found.update(outcomes)
            if time.monotonic() > deadline:
                return found
    except NotListed:
        found = Counter(perform(program, 20, seed=seed, spin=spin))
    return found
