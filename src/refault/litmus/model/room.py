"""How much a program needs that the model must set aside before it begins."""

from __future__ import annotations

from typing import NamedTuple

from refault.litmus.program import Program


class Room(NamedTuple):
    """Page frames of each thread's CPU, and VMAs that mappings can be cut into."""

    frames: int = 3
    spares: int = 0


CUTS = ("register", "unregister", "mprotect", "munmap", "mremap", "mmap")
"""Steps that may cut a mapping in up to three."""


def room(program: Program) -> Room:
    """What the steps of a program can use up, at most, and three frames in any case."""
    pages = dict.fromkeys((thread.name for thread in program.threads), 0)
    cuts = 0
    for step in program.steps:
        pages[step.thread] = pages.get(step.thread, 0) + int(step.args.get("pages", 1))
        cuts += step.do in CUTS
    return Room(max(3, *pages.values()), 2 * cuts)
