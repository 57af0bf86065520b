"""What the project asks of itself, and what to say where it is missed.

At least 3 times as fast as the best peer wherever that one takes over a second, and there at least
10 times as fast as SPIN, in at most a third of its memory; under 0.3 s wherever the best peer
takes less than 0.1 s.
"""

from __future__ import annotations

from typing import Any

OVER, TIMES, TIMES_SPIN, SHARE = 1.0, 3.0, 10.0, 1 / 3
UNDER, AT_MOST = 0.1, 0.3


def target(row: dict[str, Any]) -> str:
    """What is asked of this row: ``"3x"``, ``"0.3 s"`` or nothing."""
    best = row["peers"].get(row["best"])
    if best is None:
        return "3x" if row["peers"] else ""
    if best > OVER:
        return "3x"
    return "0.3 s" if best < UNDER else ""


def missed(row: dict[str, Any]) -> list[str]:
    """What of it is missed, in words; nothing if the target is met."""
    asked = target(row)
    if asked == "0.3 s":
        seconds = row["refault_s"]
        return [f"{seconds:.2f} s, not under {AT_MOST} s"] * (seconds >= AT_MOST)
    return _times(row) + _memory(row) if asked == "3x" else []


def _times(row: dict[str, Any]) -> list[str]:
    if not row["refault_finished"]:
        return ["refault did not finish"]
    said = []
    if row["ratio"] is not None and row["ratio"] < TIMES:
        said.append(f"{row['ratio']:.1f} times as fast as {row['best']}, not {TIMES:g}")
    spin = row["spin_ratio"]
    if spin is not None and spin < TIMES_SPIN:
        bound = "stopped at " if row["spin_ratio_at_least"] else ""
        said.append(f"{bound}{spin:.1f} times as fast as SPIN, not {TIMES_SPIN:g}")
    return said


def _memory(row: dict[str, Any]) -> list[str]:
    spin = row["peers_mb"].get("SPIN")
    if spin is None or row["refault_mb"] <= spin * SHARE:
        return []
    return [f"{row['refault_mb']:.0f} MB, SPIN {spin:.0f}: more than a third"]
