"""Rumur: states of Murphi models; the twins are in ``murphi/``.

A terminal state where somebody is left is a state without an enabled rule; one where all have ended
has a rule that changes nothing.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.peers.peer import BENCH, Bounds, Peer, Said, number, says
from bench.programs import Bench

OPTIONS = [
    "--deadlock-detection=stuck",
    "--max-errors=1000000",
    "--counterexample-trace=off",
    "--output-format=machine-readable",
    "--threads=1",
]


def _version() -> str | None:
    return says(("rumur", "--version"), r"version v?([\d.-]+)") if shutil.which("gcc") else None


def _twin(bench: Bench) -> Path:
    return BENCH / "murphi" / f"{bench.model}.m"


def _commands(bench: Bench, folder: Path, _bounds: Bounds) -> list[list[str]]:
    constants = [f"const {name.upper()}: {value};" for name, value in bench.arguments.items()]
    model = folder / "model.m"
    model.write_text("\n".join([*constants, _twin(bench).read_text()]))
    return [
        ["rumur", *OPTIONS, "--output", "model.c", str(model)],
        ["gcc", "-O3", "-march=native", "-w", "-o", "model", "model.c", "-lpthread"],
        [str(folder / "model")],
    ]


def _read(text: str) -> Said | None:
    states = number(r'<summary states="(\d+)"', text)
    return Said(states, number(r'errors="(\d+)"', text) > 0) if states else None


RUMUR = Peer(
    "Rumur",
    "states",
    _version,
    "Debian: apt install rumur gcc",
    _twin,
    _commands,
    _read,
    statuses=(0, 1),
)
