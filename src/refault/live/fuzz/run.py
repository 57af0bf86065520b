"""A fuzzing session: so many operations, by a seed, with what differs saved.

A session that is interrupted leaves a file behind, ``SEED.session.json`` in its folder, from which
the next one with that seed goes on; one that ends removes it.
"""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from refault.errors import UserError
from refault.litmus.program import Program

from .compare import Bench, Compared
from .generate import ANYTHING, Recipe, generate
from .reproduce import reproducer
from .shrink import shrink

EVERY = 200
"""Programs after which the session is written down."""


@dataclass
class Tally:
    """What a session has done so far; ``next`` is the number of the program that comes next.

    ``discarded`` counts programs by what the model does not have, ``searched`` those of which all
    orders were looked at, ``unsteady`` those that differed once and not again. ``differences`` are
    the files written, or their contents if there is no folder.
    """

    seed: int = 0
    next: int = 0
    operations: int = 0
    sequences: int = 0
    discarded: Counter[str] = field(default_factory=Counter)
    searched: int = 0
    unsteady: int = 0
    differences: list[str] = field(default_factory=list)
    seconds: float = 0.0
    interrupted: bool = False


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
    """Run programs until so many operations were done, or ``most`` of them differ.

    Ctrl-C ends it between two programs' results: what was found is kept.
    """
    tally = _resumed(folder, seed)
    began = time.monotonic() - tally.seconds
    with bench or Bench() as table:
        try:
            while tally.operations < operations and len(tally.differences) < most:
                _one(table, tally, recipe, folder)
                tally.seconds = time.monotonic() - began
                progress(tally)
                if folder is not None and tally.next % EVERY == 0:
                    _note(folder, tally)
        except KeyboardInterrupt:
            tally.interrupted = True
    if folder is not None and tally.interrupted:
        _note(folder, tally)
    elif folder is not None:
        _session(folder, seed).unlink(missing_ok=True)
    return tally


def _one(table: Bench, tally: Tally, recipe: Recipe, folder: Path | None) -> None:
    """Generate and compare the next program; nothing is counted of one that is interrupted."""
    program = generate(random.Random(f"{tally.seed}/{tally.next}"), recipe)
    compared = table.compare(program)
    found = ""
    steady = compared.verdict == "differ" and table.differs(program)
    if steady:
        small = shrink(program, table.differs)
        found = _save(folder, small, table.compare(small), tally)
    tally.next += 1
    tally.sequences += 1
    tally.operations += compared.operations
    tally.searched += compared.searched
    tally.unsteady += compared.verdict == "differ" and not steady
    if compared.verdict == "discarded":
        tally.discarded[compared.why] += 1
    if found:
        tally.differences.append(found)


def _save(folder: Path | None, program: Program, compared: Compared, tally: Tally) -> str:
    said = {
        "program": program.to_json(),
        "seen": list(map(list, compared.seen)),
        "allowed": [list(map(list, outcome)) for outcome in sorted(compared.expected)],
        "why": compared.why,
        "from": f"seed {tally.seed}, program {tally.next}",
    }
    text = json.dumps(said, indent=1)
    if folder is None:
        return text
    path = folder / f"{tally.seed}-{tally.next}.json"
    _write(path, text)
    _write(path.with_suffix(".c"), reproducer(program))
    return str(path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(path.suffix + ".part")
    part.write_text(text)
    part.replace(path)


def _session(folder: Path, seed: int) -> Path:
    return folder / f"{seed}.session.json"


def _note(folder: Path, tally: Tally) -> None:
    _write(_session(folder, tally.seed), json.dumps(vars(tally)))


def _resumed(folder: Path | None, seed: int) -> Tally:
    """The session that was interrupted, or a new one."""
    path = None if folder is None else _session(folder, seed)
    if path is None or not path.exists():
        return Tally(seed)
    try:
        said: dict[str, Any] = json.loads(path.read_text())
        said["discarded"] = Counter(said["discarded"])
        return Tally(**said | {"interrupted": False})
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} is no session: {error}", "remove it to begin anew") from error


def saved(path: Path) -> Program:
    """The program of a file that a session has saved; ``UserError`` where it is none."""
    try:
        return Program.from_json(json.loads(path.read_text())["program"])
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f"{path} holds no program: {error}", "name a file of --fuzz") from error
