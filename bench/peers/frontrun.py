"""frontrun: interleavings of Python threads; the twins are the functions of ``threads``.

It runs the real interpreter and looks at its bytecode, so what it counts is its own.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from bench.peers.peer import BENCH, Bounds, Peer, Said, number, says
from bench.programs import Bench

MODELS = ("counter", "lockn", "philosophers", "readers", "lastzero")
SCRIPT = BENCH / "threads.py"


def _python() -> str | None:
    """The interpreter that frontrun is installed for: that of its script."""
    script = shutil.which("frontrun")
    if script is None:
        return None
    first = Path(script).read_text(errors="replace").partition("\n")[0]
    return first.removeprefix("#!").strip()


def _version() -> str | None:
    python = _python()
    code = "from importlib.metadata import version; print('is', version('frontrun'))"
    return says((python, "-c", code), r"is ([\d.]+)") if python else None


def _twin(bench: Bench) -> Path:
    return SCRIPT if bench.model in MODELS else SCRIPT.with_name("none")


def _commands(bench: Bench, _folder: Path, _bounds: Bounds) -> list[list[str]]:
    arguments = [str(v) for v in bench.arguments.values()]
    return [["frontrun", _python() or "python", str(SCRIPT), bench.model, *arguments]]


def _read(text: str) -> Said | None:
    count = number(r"explored (\d+)", text)
    return Said(count, "finding" in text) if count else None


FRONTRUN = Peer(
    "frontrun",
    "executions",
    _version,
    "pip install frontrun",
    _twin,
    _commands,
    _read,
)
