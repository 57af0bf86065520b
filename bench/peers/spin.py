"""SPIN: states, with partial-order reduction; the twins are in ``promela/``.

*Tight* twins are written by somebody who knows how SPIN counts: a lock is one ``d_step``, nothing
is left over in locals, no process ends. ``as_written`` has them as they come to mind. *Exact* means
every state: no reduction, no statement merging, no dataflow tricks.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from bench.peers.peer import BENCH, Bounds, Peer, Said, number, says
from bench.programs import Bench

DEPTH = 100_000


def _version() -> str | None:
    return says(("spin", "-V"), r"Version ([\d.]+)") if shutil.which("gcc") else None


def _twin(bench: Bench) -> Path:
    return BENCH / "promela" / f"{bench.model}.pml"


def _commands(bench: Bench, folder: Path, bounds: Bounds) -> list[list[str]]:
    defines = bench.defines + ["-DAS_WRITTEN"] * bounds.as_written
    every = ["-o1", "-o2", "-o3"] if bounds.exact else []
    flags = ["-DSAFETY", f"-DMEMLIM={bounds.memory >> 20}"] + ["-DNOREDUCE"] * bounds.exact
    return [
        ["spin", *every, "-a", *defines, str(_twin(bench))],
        ["gcc", "-O2", "-w", *flags, "-o", "pan", "pan.c"],
        [str(folder / "pan"), "-c0", "-n", f"-m{DEPTH}", f"-w{bench.hash_bits}"],
    ]


_BOUND_HIT = re.compile(
    r"max search depth too small|out of memory|reached -DMEMLIM|Search not comp"
)


def _read(text: str) -> Said | None:
    states = number(r"([\d.e+]+) states, stored", text)
    if not states or _BOUND_HIT.search(text):
        return None
    return Said(states, number(r"errors: (\d+)", text) > 0)


SPIN = Peer(
    "SPIN",
    "states",
    _version,
    "Debian: apt install spin gcc",
    _twin,
    _commands,
    _read,
)
