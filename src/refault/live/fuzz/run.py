"""A fuzzing session: so many operations, by a seed, with what differs saved."""

from __future__ import annotations

import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from refault.litmus.program import Outcome, Program

from .compare import Bench, Compared
from .generate import ANYTHING, Recipe, generate
from .shrink import shrink


@dataclass
class Tally:
    """What a session has done so far; ``next`` is the number of the program that comes next."""

    seed: int = 0
    next: int = 0
    operations: int = 0
    sequences: int = 0
    discarded: Counter[str] = field(default_factory=Counter)
    searched: int = 0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0


def fuzz(
    operations: int,
    *,
    seed: int = 0,
    folder: Path | None = None,
    recipe: Recipe = ANYTHING,
    progress: Callable[[Tally], None] = lambda tally: None,
    bench: Bench | None = None,
    most: int = 10,
) -> Tally:
    """Run programs until so many operations were done, or ``most`` of them differ."""
    tally = Tally(seed)
    with bench or Bench() as table:
        began = time.monotonic()
        while tally.operations < operations and len(tally.differences) < most:
            program = generate(random.Random(f"{seed}/{tally.next}"), recipe)
            compared = table.compare(program)
            tally.next += 1
            tally.sequences += 1
            tally.operations += compared.operations
            tally.searched += compared.searched
            if compared.verdict == "discarded":
                tally.discarded[compared.why] += 1
            elif compared.verdict == "differ":
                small = shrink(program, lambda p: table.compare(p).verdict == "differ")
                tally.differences.append(_save(folder, small, table.compare(small), tally))
            tally.seconds = time.monotonic() - began
            progress(tally)
    return tally


def _save(folder: Path | None, program: Program, compared: Compared, tally: Tally) -> str:
    said = {
        "program": program.to_json(),
        "seen": list(map(list, compared.seen)),
        "allowed": [list(map(list, outcome)) for outcome in sorted(compared.expected)],
        "why": compared.why,
        "from": f"seed {tally.seed}, program {tally.next - 1}",
    }
    text = json.dumps(said, indent=1)
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{tally.seed}-{tally.next - 1}.json"
        part = path.with_suffix(".part")
        part.write_text(text)
        os.replace(part, path)
        return str(path)
    return text


__all__ = ["Outcome", "Tally", "fuzz"]
