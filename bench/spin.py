"""SPIN on the twins: compile, run, read what ``pan`` reports.

Two settings. *Plain* stores every state: no partial-order reduction, no statement merging, no
dataflow tricks, so it counts what refault counts without reduction. *Own* is SPIN as it comes.
Memory, depth and time are bounded; a run that hits a bound is not complete.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import NamedTuple

from bench.process import Usage, run
from bench.programs import Bench

HOW_TO_GET = "no SPIN columns: `spin` and `gcc` are not on the PATH (Debian: apt install spin gcc)"
PROMELA = Path(__file__).parent / "promela"
MEMORY_MIB = 10_000
DEPTH = 100_000


class Built(NamedTuple):
    """A compiled twin."""

    pan: Path
    seconds: float


class Result(NamedTuple):
    """A run of ``pan``; ``seconds`` is its own elapsed time."""

    states: int
    transitions: int
    errors: int
    seconds: float
    complete: bool
    usage: Usage


def available() -> bool:
    """Whether SPIN and a C compiler are at hand."""
    return shutil.which("spin") is not None and shutil.which("gcc") is not None


def _must(usage: Usage, what: str) -> float:
    if not usage.ok:
        raise RuntimeError(f"{what} failed: {usage.output.strip()[-500:]}")
    return usage.wall


def build(bench: Bench, into: Path, *, reduce: bool, as_written: bool = False) -> Built:
    """Translate the twin to C and compile it in the folder ``into``."""
    defines = bench.defines + (["-DAS_WRITTEN"] if as_written else [])
    exact = [] if reduce else ["-o1", "-o2", "-o3"]
    source = str(PROMELA / f"{bench.model}.pml")
    seconds = _must(run(["spin", *exact, "-a", *defines, source], timeout=60, cwd=into), "spin")
    flags = ["-DSAFETY", f"-DMEMLIM={MEMORY_MIB}"] + ([] if reduce else ["-DNOREDUCE"])
    compile_ = ["gcc", "-O2", "-w", *flags, "-o", "pan", "pan.c"]
    seconds += _must(run(compile_, timeout=120, cwd=into), "gcc")
    return Built(into / "pan", seconds)


def verify(built: Built, bench: Bench, *, timeout: float) -> Result:
    """Search the whole state space, whatever errors there are on the way."""
    bounds = [f"-m{DEPTH}", f"-w{bench.hash_bits}"]
    usage = run([str(built.pan), "-c0", "-n", *bounds], timeout=timeout, cwd=built.pan.parent)
    return parse(usage)


def _number(pattern: str, text: str) -> float:
    found = re.search(pattern, text)
    return float(found[1]) if found else 0.0


_BOUND_HIT = re.compile(
    r"max search depth too small|out of memory|reached -DMEMLIM|Search not comp"
)


def parse(usage: Usage) -> Result:
    """Read the report of ``pan``."""
    text = usage.output
    states = int(_number(r"([\d.e+]+) states, stored", text))
    complete = not usage.timed_out and states > 0 and not _BOUND_HIT.search(text)
    return Result(
        states=states,
        transitions=int(_number(r"([\d.e+]+) transitions", text)),
        errors=int(_number(r"errors: (\d+)", text)),
        seconds=_number(r"elapsed time ([\d.]+) seconds", text),
        complete=complete,
        usage=usage,
    )
