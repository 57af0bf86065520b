"""Time and memory against size: what is measured, kept, and drawn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from bench.growth import SERIES
from bench.one import bench as program
from bench.programs import PROGRAMS

ROOT = Path(__file__).parents[2]


def test_a_program_is_known_by_its_model_and_arguments_too() -> None:
    for name, bench in PROGRAMS.items():
        assert program(name) == bench
        assert program(str(bench)).arguments == bench.arguments


def test_each_size_is_kept_and_not_measured_again(tmp_path: Path) -> None:
    """Without peers: two sizes of each program, from the smallest on."""
    kept = tmp_path / "growth.json"
    command = [sys.executable, "-m", "bench.growth", "--save", str(kept), "--largest", "9"]
    environment = {**os.environ, "PATH": str(tmp_path)}
    sizes = {"philosophers": 7, "uffd": 1, "lastzero": 2}
    kept.write_text(json.dumps({"points": [{"series": "uffd", "who": "refault", "size": 1}]}))
    for _ in range(2):
        subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
        points = json.loads(kept.read_text())["points"]
        assert {s: sum(p["series"] == s for p in points) for s in SERIES} == sizes
    states = {p["size"]: p["counted"] for p in points if p["series"] == "philosophers"}
    assert [states[n] for n in (3, 4, 5)] == [5**n for n in (3, 4, 5)]
    assert all(p["mb"] > 5 and p["s"] > 0 for p in points if p["series"] != "uffd")


def test_what_did_not_finish_is_not_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    from bench.plot import draw  # noqa: PLC0415

    def point(size: int, stopped: str = "") -> dict[str, object]:
        return {
            "series": "uffd",
            "who": "refault",
            "size": size,
            "s": 10.0**size,
            "mb": 30.0,
            "stopped": stopped,
        }

    draw({"points": [point(1), point(2), point(3)]}, tmp_path / "three.svg")
    draw({"points": [point(1), point(2), point(3), point(4, "time")]}, tmp_path / "four.svg")
    assert (tmp_path / "three.svg").read_text() == (tmp_path / "four.svg").read_text()
    assert ">refault<" in (tmp_path / "three.svg").read_text()
