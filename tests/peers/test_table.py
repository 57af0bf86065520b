"""The table of the bench: what it says, what it asks, and what it does without peers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from bench import table
from bench.measure import summary
from bench.peers.peer import Measured, Said
from bench.process import run
from bench.targets import missed, target

ROOT = Path(__file__).parents[2]
MB = 1_000_000


def took(seconds: float, mb: float = 30, stopped: str = "") -> Measured:
    """Make up a run."""
    said = None if stopped else Said(7, found=False)
    return Measured(seconds, seconds, seconds, int(mb * MB), said, stopped)


def row(ours: float, mb: float = 30, **peers: Measured) -> dict[str, Any]:
    """Make up a program of which each was measured three times, at the same speed."""
    runs = {name: [one] * (1 if one.stopped else 3) for name, one in peers.items()}
    return summary("made up", {"refault": [took(ours, mb)] * 3, **runs})


def test_three_times_as_fast_as_the_best_is_what_we_ask() -> None:
    spin, genmc = took(20, 900), took(3.3)
    assert target(row(1.0, SPIN=spin, GenMC=genmc)) == "3x"
    assert missed(row(1.0, SPIN=spin, GenMC=genmc)) == []
    assert missed(row(1.2, SPIN=spin, GenMC=genmc)) == ["2.8 times as fast as GenMC, not 3"]


def test_ten_times_as_fast_as_spin_in_a_third_of_its_memory() -> None:
    said = missed(row(1.0, mb=40, SPIN=took(9, 90), GenMC=took(4)))
    assert said == [
        "9.0 times as fast as SPIN, not 10",
        "40 MB, SPIN 90: more than a third",
    ]


def test_small_programs_are_to_be_quick() -> None:
    assert target(row(0.1, GenMC=took(0.05))) == "0.3 s"
    assert missed(row(0.1, GenMC=took(0.05))) == []
    assert missed(row(0.31, GenMC=took(0.05))) == ["0.31 s, not under 0.3 s"]


def test_between_the_two_nothing_is_asked() -> None:
    between = row(0.5, GenMC=took(0.5))
    assert (target(between), missed(between)) == ("", [])


def test_who_did_not_finish_is_a_bound_and_no_best_peer() -> None:
    stopped = row(1.0, SPIN=took(11, 2000, "time"), Rumur=took(3.5))
    assert (stopped["best"], stopped["ratio"]) == ("Rumur", 3.5)
    assert (stopped["spin_ratio"], stopped["spin_ratio_at_least"]) == (11.0, True)
    assert stopped["peers"] == {"SPIN": None, "Rumur": 3.5}
    assert missed(stopped) == []
    assert ">11" in table.lines(stopped)


def test_who_stops_at_the_first_finding_is_not_compared() -> None:
    stopped = row(1.0, TLC=took(2, 200, "first"), GenMC=took(4))
    assert (stopped["best"], stopped["peers"]["TLC"]) == ("GenMC", None)
    assert "!2" in table.lines(stopped)


def test_without_any_peer_there_is_no_ratio() -> None:
    alone = row(1.0)
    assert (alone["best"], alone["ratio"], alone["spin_ratio"]) == (None, None, None)
    assert target(alone) == ""
    assert table.lines(alone).splitlines()[0].split()[-2:] == ["-", "-"]


def test_pairs_are_what_is_divided() -> None:
    """A machine that is slow for a while is slow for both."""
    runs = {"refault": [took(1), took(2), took(9)], "SPIN": [took(4), took(8), took(36)]}
    assert summary("made up", runs)["ratio"] == 4.0


def test_the_table_fits() -> None:
    here = {
        "refault": "0.1.0",
        "python": "3.14.0",
        "date": "2026-01-01",
        "machine": "2 cores",
        "versions": {"SPIN": "6.5.2"},
    }
    wide = row(123.45, 9999, SPIN=took(1234.5, 99999), GenMC=took(777.7, stopped="memory"))
    text = table.heading(here, 5) + "\n" + table.lines(wide)
    assert all(len(line) <= table.WIDTH for line in text.splitlines())
    assert "no GenMC" in text
    assert any("GenMC: not found" in line for line in table.absent(here))


@pytest.fixture
def nowhere(tmp_path: Path) -> dict[str, str]:
    """An environment without peers on the PATH."""
    return {**os.environ, "PATH": str(tmp_path), "TLA2TOOLS_JAR": str(tmp_path / "none.jar")}


@pytest.mark.parametrize("how", [["bench/run.py"], ["-m", "bench.run"]], ids=["script", "module"])
def test_json_is_json_and_peers_may_be_missing(how: list[str], nowhere: dict[str, str]) -> None:
    command = [sys.executable, *how, "--json", "--runs", "1", "lockn-5"]
    done = subprocess.run(
        command, cwd=ROOT, env=nowhere, capture_output=True, text=True, check=True
    )
    (measured,) = json.loads(done.stdout)
    assert measured["program"] == "lockn-5"
    assert measured["peers"] == measured["peers_mb"] == {}
    assert (measured["ratio"], measured["spin_ratio"]) == (None, None)
    assert measured["refault_finished"]
    assert measured["refault_cpu_s"] > 0
    assert 5 < measured["refault_mb"] < 500


def test_rows_are_kept_and_not_measured_again(tmp_path: Path, nowhere: dict[str, str]) -> None:
    kept = tmp_path / "kept.json"
    kept.write_text(json.dumps([{**row(1.25), "program": "lockn-5"}]))
    command = [sys.executable, "bench/run.py", "--runs", "1", "--save", str(kept), "--resume"]
    done = subprocess.run(
        [*command, "lockn-5", "counter-3"],
        cwd=ROOT,
        env=nowhere,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "1.25" in done.stdout
    assert [r["program"] for r in json.loads(kept.read_text())] == ["lockn-5", "counter-3"]
    assert [p.name for p in tmp_path.iterdir()] == ["kept.json"]


@pytest.mark.parametrize(
    ("wrong", "said"), [(["nonsense"], "no program nonsense"), (["--resume"], "--save FILE")]
)
def test_what_cannot_be_meant_is_refused(wrong: list[str], said: str) -> None:
    done = subprocess.run(
        [sys.executable, "bench/run.py", *wrong],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


PARENT = """
import os, sys, time
held = bytearray(60_000_000)
if os.fork() == 0:
    held[::4096] = b"x" * len(held[::4096])
    more = bytearray(b"y") * 60_000_000
    time.sleep(0.5)
    os._exit(0)
os.wait()
"""


def test_memory_is_that_of_all_processes_together() -> None:
    """The child has 120 MB of its own, the parent 60; the interpreter is shared."""
    usage = run([sys.executable, "-c", PARENT], timeout=20)
    assert usage.ok
    assert 170 * MB < usage.peak < 260 * MB


def test_a_run_is_ended_at_its_bounds() -> None:
    late = run([sys.executable, "-c", "import time; time.sleep(20)"], timeout=0.5)
    assert (late.ok, late.stopped) == (False, "time")
    greedy = "import time; x = b'x' * 300_000_000; time.sleep(20)"
    large = run([sys.executable, "-c", greedy], timeout=20, memory=200 * MB)
    assert (large.ok, large.stopped) == (False, "memory")
