"""Nidhugg: traces of C programs by optimal DPOR; the twins are those of GenMC.

It counts a deadlocked execution as any other.
"""

from __future__ import annotations

from pathlib import Path

from bench.peers.genmc import twin
from bench.peers.peer import Bounds, Peer, Said, number, says
from bench.programs import Bench


def _version() -> str | None:
    return says(("nidhugg", "--version"), r"Nidhugg ([\d.]+)")


def _commands(bench: Bench, _folder: Path, _bounds: Bounds) -> list[list[str]]:
    source = str(twin(bench))
    return [["nidhuggc", "-DNIDHUGG", *bench.defines, "--", "-sc", "-optimal", source]]


def _read(text: str) -> Said | None:
    if "No errors were detected" not in text:
        return None
    blocked = number(r"Assume-blocked trace count: (\d+)", text)
    return Said(number(r"^ *Trace count: (\d+)", text) + blocked, blocked > 0)


NIDHUGG = Peer(
    "Nidhugg",
    "traces",
    _version,
    "https://github.com/nidhugg/nidhugg",
    twin,
    _commands,
    _read,
)
