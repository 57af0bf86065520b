"""Refault and SPIN side by side: ``python -m bench.run [--json] [--quick] [--runs N]``.

Every program runs twice: with neither side reducing (both then visit the same states), and with
each side's own reduction. Runs alternate, refault first and SPIN first in turn; what is printed is
the median. Seconds are of CPU, of the whole process: refault's include the start of Python, SPIN's
leave out translation and compilation, which have a column of their own. The ratio is SPIN's
seconds by refault's, the median over the pairs. MB: resident at the peak.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench import spin
from bench.process import Usage, run
from bench.programs import PROGRAMS

ROOT = Path(__file__).parent.parent
MEGA = 1_000_000


class Side(NamedTuple):
    """One run of one checker; ``rate`` is transitions a second of search."""

    states: int
    transitions: int
    seconds: float
    rate: float
    peak: int
    complete: bool


class Row(NamedTuple):
    """The medians of a program in one setting; ``spin`` is ``None`` where there is no SPIN."""

    program: str
    reduction: bool
    refault: Side
    spin: Side | None
    compile: float | None
    ratio: float | None


def refault_once(program: str, reduction: bool, timeout: float) -> Side:
    """Check ``program`` in a fresh interpreter."""
    command = [sys.executable, "-m", "bench.one", program, "--time", str(timeout)]
    command += [] if reduction else ["--no-reduction"]
    usage = run(command, timeout=timeout + 30, cwd=ROOT)
    if not usage.ok:
        return _stopped(usage)
    said = json.loads(usage.output.splitlines()[-1])
    rate = said["transitions"] / max(said["seconds"], 1e-6)
    complete = said["verdict"] != "inconclusive"
    return Side(said["states"], said["transitions"], usage.cpu, rate, usage.peak, complete)


def _stopped(usage: Usage) -> Side:
    if not usage.timed_out:
        raise RuntimeError(f"refault failed:\n{usage.output.strip()[-2000:]}")
    return Side(0, 0, usage.cpu, 0.0, usage.peak, complete=False)


def spin_once(built: spin.Built, program: str, timeout: float) -> Side:
    """Run the compiled twin of ``program``."""
    r = spin.verify(built, PROGRAMS[program], timeout=timeout)
    rate = r.transitions / max(r.seconds, 0.01)
    return Side(r.states, r.transitions, r.usage.cpu, rate, r.usage.peak, r.complete)


def middle(sides: list[Side]) -> Side:
    """Take the median of each figure; complete if every run was."""
    columns = list(zip(*sides, strict=True))
    return Side(
        int(median(columns[0])),
        int(median(columns[1])),
        median(columns[2]),
        median(columns[3]),
        int(median(columns[4])),
        all(columns[5]),
    )


def measure(program: str, reduction: bool, asked: argparse.Namespace) -> Row:
    """Run both sides ``asked.runs`` times, in turn."""
    if not spin.available():
        ours = [refault_once(program, reduction, asked.timeout) for _ in range(asked.runs)]
        return Row(program, reduction, middle(ours), None, None, None)
    with tempfile.TemporaryDirectory(prefix="refault-bench-") as folder:
        twin = spin.build(
            PROGRAMS[program], Path(folder), reduce=reduction, as_written=asked.as_written
        )
        ours, theirs = [], []
        for turn in range(asked.runs):
            if turn % 2:
                theirs.append(spin_once(twin, program, asked.timeout))
            ours.append(refault_once(program, reduction, asked.timeout))
            if not turn % 2:
                theirs.append(spin_once(twin, program, asked.timeout))
    pairs = [b.seconds / a.seconds for a, b in zip(ours, theirs, strict=True)]
    ratio = median(pairs) if all(s.complete for s in ours + theirs) else None
    return Row(program, reduction, middle(ours), middle(theirs), twin.seconds, ratio)


HEAD = (
    "                             refault                            SPIN\n"
    "program         reduction     states        s   M/s     MB      states        s     MB"
    "  comp.  ratio"
)


def _side(side: Side | None, *, rate: bool) -> str:
    if side is None:
        return f"{'-':>11} {'-':>8} {'-':>6}"
    if not side.complete:
        return f"{'limit':>11} {side.seconds:8.2f} " + "      " * rate + f"{side.peak / MEGA:6.0f}"
    pace = f"{side.rate / MEGA:5.1f} " if rate else ""
    return f"{side.states:11,} {side.seconds:8.2f} {pace}{side.peak / MEGA:6.0f}"


def line(row: Row) -> str:
    """One line of the table."""
    compiled = "-" if row.compile is None else f"{row.compile:.1f}"
    ratio = (
        "-" if row.ratio is None else f"{row.ratio:.2f}" if row.ratio < 10 else f"{row.ratio:.0f}"
    )
    ours, theirs = _side(row.refault, rate=True), _side(row.spin, rate=False)
    own = "own" if row.reduction else "none"
    return f"{row.program:15} {own:8} {ours} {theirs} {compiled:>6} {ratio:>6}"


def as_json(row: Row) -> dict[str, Any]:
    """Turn the row into plain data."""
    return {
        **row._asdict(),
        "refault": row.refault._asdict(),
        "spin": row.spin._asdict() if row.spin else None,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench.run", description=__doc__)
    parser.add_argument("programs", nargs="*", metavar="PROGRAM", help="default: the full table")
    parser.add_argument("--json", action="store_true", help="one JSON list, no table")
    parser.add_argument("--quick", action="store_true", help="the small programs only")
    parser.add_argument("--runs", type=int, default=3, help="paired runs (default 3)")
    parser.add_argument("--timeout", type=float, default=600, help="seconds for each run")
    parser.add_argument(
        "--as-written",
        action="store_true",
        help="SPIN twins with the loop guards and process ends that people write",
    )
    asked = parser.parse_args()
    unknown = [name for name in asked.programs if name not in PROGRAMS]
    if unknown:
        parser.error(f"no program {', '.join(unknown)}; there are {', '.join(PROGRAMS)}")
    if asked.runs < 1 or asked.timeout <= 0:
        parser.error("--runs and --timeout must be positive")
    return asked


def main() -> None:
    """Measure, and print as it goes."""
    asked = _arguments()
    names = asked.programs or [n for n, b in PROGRAMS.items() if b.quick == asked.quick]
    rows = []
    if not asked.json:
        print(HEAD)
    for program in names:
        for reduction in (False, True):
            rows.append(measure(program, reduction, asked))
            if not asked.json:
                print(line(rows[-1]), flush=True)
    if asked.json:
        print(json.dumps([as_json(row) for row in rows], indent=1))
    elif not spin.available():
        print(spin.HOW_TO_GET)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(130)
