"""The table: two lines a program, seconds and megabytes; at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bench.peers.found import PEERS
from bench.targets import missed, target

NAMES = [peer.name for peer in PEERS]
WIDTH = 100


def heading(here: dict[str, Any], runs: int) -> str:
    """Where and when it was measured, what is here, and the names of the columns."""
    versions = here["versions"]
    lines = [
        f"refault {here['refault']}, CPython {here['python']}; {here['date']}; {here['machine']}",
        "peers: " + ", ".join(f"{n} {versions[n]}" if n in versions else f"no {n}" for n in NAMES),
        f"Seconds by the wall of the whole process, compilation included; median of {runs} paired",
        "runs, ~ one run. Not finished: > in that many seconds, M in the memory given to it; ?",
        "gave up with an error; ! stopped at the first finding, where the others explore all.",
        "",
        f"{'program':24}{'refault':>8}"
        + "".join(f"{name:>9}" for name in NAMES)
        + f"{'best':>7}{'target':>7}",
    ]
    return "\n".join(lines)


def lines(row: dict[str, Any]) -> str:
    """The two lines of one program."""
    return f"{_seconds(row)}\n{_memory(row)}".rstrip()


def _seconds(row: dict[str, Any]) -> str:
    ours = f"{row['refault_s']:.2f}" if row["refault_finished"] else f">{row['refault_s']:.0f}"
    cells = "".join(f"{_cell(row, name):>9}" for name in NAMES)
    times = "-" if row["ratio"] is None else f"{row['ratio']:.1f}x"
    asked = target(row)
    verdict = ("MISSED" if missed(row) else "met") if asked else "-"
    return f"{row['program']:24}{ours:>8}{cells}{times:>7}{verdict:>7}"


def _cell(row: dict[str, Any], name: str) -> str:
    if name not in row["peers"]:
        return ""
    seconds = row["peers"][name]
    if seconds is None:
        stopped = row["peers_stopped"][name]
        mark = {"time": ">", "memory": "M", "first": "!"}.get(stopped["by"], "?")
        return f"{mark}{stopped['s']:.0f}"
    return f"{'~' * (row['peers_runs'][name] < row['runs'])}{seconds:.2f}"


def _memory(row: dict[str, Any]) -> str:
    cells = "".join(f"{_megabytes(row, name):>9}" for name in NAMES)
    return f"{'MB':>24}{row['refault_mb']:8.0f}{cells}"


def _megabytes(row: dict[str, Any], name: str) -> str:
    return f"{row['peers_mb'][name]:.0f}" if name in row["peers"] else ""


def notes(rows: list[dict[str, Any]], why: dict[str, str]) -> Iterator[str]:
    """What is missed, row by row, and why."""
    for row in rows:
        said = missed(row)
        if said:
            yield f"{row['program']}: {'; '.join(said)}"
            if row["program"] in why:
                yield f"    {why[row['program']]}"


def absent(here: dict[str, Any]) -> Iterator[str]:
    """How to get the peers that are not here."""
    for peer in PEERS:
        if peer.name not in here["versions"]:
            yield f"{peer.name}: not found ({peer.get})"
