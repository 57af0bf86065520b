"""TLC: states of TLA+ specifications; the twins are in ``tla/``.

It is ``tla2tools.jar``, where the environment variable TLA2TOOLS_JAR says. One worker, as the
others have one thread. It stops at a deadlock, so its count is of use only where there is none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from bench.peers.peer import BENCH, Bounds, Peer, Said, number, says
from bench.programs import Bench


def _tlc(*options: str) -> list[str]:
    jar = os.environ.get("TLA2TOOLS_JAR", "tla2tools.jar")
    return ["java", "-XX:+UseParallelGC", *options, "-cp", jar, "tlc2.TLC"]


def _version() -> str | None:
    if "TLA2TOOLS_JAR" not in os.environ or not shutil.which("java"):
        return None
    return says((*_tlc(),), r"TLC2 Version ([\d.]+)")


def _twin(bench: Bench) -> Path:
    return BENCH / "tla" / f"{bench.model}.tla"


def _commands(bench: Bench, folder: Path, bounds: Bounds) -> list[list[str]]:
    (folder / _twin(bench).name).write_text(_twin(bench).read_text())
    constants = [f"CONSTANT {n.upper()} = {v}" for n, v in bench.arguments.items()]
    (folder / "model.cfg").write_text("\n".join(["SPECIFICATION Spec", *constants, ""]))
    heap = f"-Xmx{bounds.memory >> 20}m"
    options = ["-workers", "1", "-noGenerateSpecTE", "-config", "model.cfg"]
    return [[*_tlc(heap), *options, _twin(bench).name]]


def _read(text: str) -> Said | None:
    states = number(r"(\d+) distinct states found", text.replace(",", ""))
    found = "Deadlock reached" in text
    return Said(states, found, first=found) if states and "Finished in" in text else None


DEADLOCK = 11
"""How it exits when it found one."""

TLC = Peer(
    "TLC",
    "states",
    _version,
    "https://github.com/tlaplus/tlaplus, and say where in TLA2TOOLS_JAR",
    _twin,
    _commands,
    _read,
    statuses=(0, DEADLOCK),
)
