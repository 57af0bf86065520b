"""GenMC: traces of C programs; the twins are in ``c/``.

As it comes it leaves out executions that differ only in which of several equal threads is which;
*exact* asks for all of them. It does not look for deadlocks, but counts the executions in which
somebody is blocked at the end; that is what counts as an error here, as it does with Nidhugg.
"""

from __future__ import annotations

from pathlib import Path

from bench.peers.peer import BENCH, Bounds, Peer, Said, number, says
from bench.programs import Bench


def _version() -> str | None:
    return says(("genmc", "--version"), r"GenMC v([\d.]+)")


def twin(bench: Bench) -> Path:
    """The C program."""
    return BENCH / "c" / f"{bench.model}.c"


def _commands(bench: Bench, _folder: Path, bounds: Bounds) -> list[list[str]]:
    options = ["--sc", "--disable-estimation"]
    if bench.unordered:
        options += ["--disable-ipr", "--disable-sr"]
    elif bounds.exact:
        options += ["--disable-sr"]
    return [["genmc", *options, "--", *bench.defines, str(twin(bench))]]


def _read(text: str) -> Said | None:
    if "Verification complete" not in text:
        return None
    blocked = number(r"blocked executions seen: (\d+)", text)
    return Said(number(r"complete executions explored: (\d+)", text) + blocked, blocked > 0)


GENMC = Peer(
    "GenMC",
    "traces",
    _version,
    "https://github.com/MPI-SWS/genmc",
    twin,
    _commands,
    _read,
)
