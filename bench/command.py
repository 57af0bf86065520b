"""``python bench/run.py``: refault and every other checker that is here, side by side.

Prints one table; ``--json`` a list of objects instead (see ``bench.measure.summary``).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any

from bench import table
from bench.measure import Plan, measure, surroundings
from bench.process import GIB
from bench.programs import PROGRAMS, SMALL, TABLE

WHY: dict[str, str] = {}
"""Why a target is missed, by program."""

Row = dict[str, Any]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench/run.py", description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="default: the full table")
    parser.add_argument("--json", action="store_true", help="one JSON list, no table")
    parser.add_argument("--small", action="store_true", help="the small programs of the tests")
    parser.add_argument("--runs", type=int, default=5, help="paired runs (default 5)")
    parser.add_argument("--timeout", type=float, default=60, help="seconds for each run")
    parser.add_argument(
        "--patience",
        type=float,
        default=5,
        help="seconds for a peer when another one has finished sooner (default 5)",
    )
    parser.add_argument("--memory", type=float, default=4, help="GiB for each run (default 4)")
    parser.add_argument("--one-core", action="store_true", help="everything on one core")
    parser.add_argument(
        "--as-written",
        action="store_true",
        help="SPIN twins with the loop guards and process ends that people write",
    )
    parser.add_argument("--save", type=Path, metavar="FILE", help="keep the JSON, row by row")
    parser.add_argument("--resume", action="store_true", help="leave out what is in FILE already")
    asked = parser.parse_args()
    unknown = [name for name in asked.programs if name not in PROGRAMS]
    if unknown:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    if asked.runs < 1 or min(asked.timeout, asked.patience, asked.memory) <= 0:
        parser.error("--runs, --timeout, --patience and --memory must be positive")
    if asked.resume and asked.save is None:
        parser.error("--resume wants --save FILE")
    return asked


def _saved(asked: argparse.Namespace) -> dict[str, Row]:
    if not asked.resume or not asked.save.exists():
        return {}
    rows: list[Row] = json.loads(asked.save.read_text())
    return {row["program"]: row for row in rows}


def keep(data: Any, path: Path) -> None:
    """Write all of it at once, or leave the file as it was."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        json.dump(data, file, indent=1)
        file.write("\n")
    os.replace(file.name, path)


def main() -> None:
    """Measure, and print as it goes."""
    asked = _arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # ends what runs, too
    if asked.one_core:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    plan = Plan(
        asked.runs, asked.timeout, asked.patience, int(asked.memory * GIB), asked.as_written
    )
    here = surroundings()

    def say(text: str) -> None:
        if not asked.json:
            print(text, flush=True)

    say(table.heading(here, asked.runs))
    rows, known = [], _saved(asked)
    for program in asked.programs or (SMALL if asked.small else TABLE):
        row = known.get(program) or {**measure(program, plan), "measured": here}
        rows.append(row)
        say(table.lines(row))
        if asked.save:
            keep(rows, asked.save)
    if asked.json:
        print(json.dumps(rows, indent=1))
    for note in (*table.notes(rows, WHY), *table.absent(here)):
        say(note)
    if not all(row["refault_finished"] for row in rows):
        sys.exit(1)
