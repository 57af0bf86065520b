"""Memory that runs out is a verdict, in every part of the explorer, and never the kernel's."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from refault.explore import memory

ROOT = Path(__file__).parent.parent.parent
MIB = 1 << 20

STORY = """
from pathlib import Path
from bench import models
from bench.mutex import holders, lock, unlock
from refault.explore import check, restart
from refault.explore.engines import states

def states_(p):
    models.philosophers(9, 3, swapped=True)(p)

def values(p):
    "A cell with ever new values, each of them large."
    log = p.cell("log", (0,))
    def grow(old):
        return (old[0] + 1, *range(old[0], old[0] + 500)), None
    def task():
        while True:
            restart()
            log.update(grow)
    p.task("task", task)

def histories(p):
    "A task that remembers much of what it saw: ever new local states."
    clock = p.cell("clock", 0)
    def tick():
        while True:
            restart()
            clock.update(lambda old: (old + 1, None))
    def look():
        seen = ()
        while True:
            restart(seen)
            seen = (*seen[-100:], clock.read())
    p.task("tick", tick)
    p.task("look", look)

def giant(p):
    "One operation that wants more than any machine has."
    cell = p.cell("cell", b"")
    p.task("task", lambda: cell.write(bytes(1 << 46)))

def later(p):
    "The same after a while."
    x, cell = p.cell("x", 0), p.cell("cell", b"")
    def task():
        x.write(1)
        x.update(lambda old: (bytes(1 << 46), None))
    p.task("task", task)

def trees(p):
    "Long executions that race in every step: large wakeup trees."
    x = p.cell("x", 0)
    def writer(i):
        for k in range(400):
            x.write(400 * i + k)
    for i in range(8):
        p.task(f"writer{i}", writer, i)

def rounds(p):
    "Philosophers who eat for ever: a graph of states with cycles."
    forks = [p.cell(f"fork{i}", None, holders=holders) for i in range(12)]
    def philosopher(i):
        first, second = sorted((i, (i + 1) % 12))
        while True:
            restart()
            lock(forks[first]); lock(forks[second])
            unlock(forks[second]); unlock(forks[first])
    for i in range(12):
        p.task(f"p{i}", philosopher, i)

def deadlock(p):
    models.philosophers(7, 3)(p)

def run(build, mib, **options):
    verdict = check(build, max_memory=mib << 20, **options)
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    print(int(peak) // 1024, verdict.evidence.states, verdict, verdict.reason, sep="|")
    return verdict
"""

linux = pytest.mark.skipif(sys.platform != "linux", reason="measured with /proc")


def told(code: str) -> list[list[str]]:
    """Run code after ``STORY`` in a process of its own: per line peak, states, verdict, reason."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", STORY + textwrap.dedent(code)],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [line.split("|") for line in done.stdout.splitlines()]


@linux
@pytest.mark.parametrize(
    ("story", "options"),
    [
        ("states_", "engine='states', reduce=False, jobs=1"),
        ("states_", "engine='states', reduce=False, jobs=4"),
        ("values", "engine='states'"),
        ("values", "engine='traces'"),
        ("values", "engine='random'"),
        ("values", ""),
        ("histories", "engine='states'"),
        ("giant", ""),
        ("later", "engine='states'"),
        ("later", "engine='traces'"),
        ("later", ""),
        ("trees", "engine='traces', time=20"),
        ("rounds", ""),
    ],
)
def test_whatever_grows_ends_below_the_bound(story: str, options: str) -> None:
    ((peak, _states, verdict, reason),) = told(f"run({story}, 64, {options})")
    assert verdict == "inconclusive"
    assert reason == "more than 64M needed: raise --max-memory"
    assert int(peak) <= 64


@linux
def test_what_was_found_before_memory_ran_out_is_shown() -> None:
    """The search for the best schedule runs out of memory as well; the schedule known is drawn."""
    code = """
    trace = run(deadlock, 100, engine="states", reduce=False).trace
    assert not trace.minimal and trace.finding.kind == "deadlock"
    """
    ((peak, _states, verdict, reason),) = told(code)
    assert (verdict, reason) == ("deadlock", "more than 100M needed: raise --max-memory")
    assert int(peak) <= 100


@linux
def test_a_search_that_ran_out_of_memory_goes_on_with_more(tmp_path: Path) -> None:
    code = f"""
    states.WORTH = 0.0
    path = Path({str(tmp_path / "it.checkpoint")!r})
    plain = dict(engine="states", reduce=False, checkpoint=path)
    run(models.lastzero(10), 36, **plain)
    run(models.lastzero(10), 480, resume=True, **plain)
    """
    short, whole = told(code)
    assert short[3] == "more than 36M needed: raise --max-memory; go on with --resume"
    assert (whole[1], whole[2]) == ("1390501", "holds")


def test_the_guard_refuses_memory_and_lets_go_again() -> None:
    with memory.guarded(memory.resident() + 64 * MIB):
        with memory.guarded(memory.resident() + 256 * MIB), pytest.raises(MemoryError):
            bytearray(160 * MIB)
        with pytest.raises(MemoryError):
            bytearray(160 * MIB)
    assert len(bytearray(160 * MIB)) == 160 * MIB


def machine(folder: Path, available: int, group: str) -> None:
    (folder / "self").mkdir(parents=True)
    (folder / "meminfo").write_text(f"MemTotal: 9 kB\nMemAvailable: {available >> 10} kB\n")
    (folder / "self" / "statm").write_text("9 0 0 0 0 0 0\n")
    (folder / "self" / "cgroup").write_text(group)


def group(folder: Path, names: str, limit: str, usage: int, cached: int) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    most, now, stat = names.split()
    (folder / most).write_text(f"{limit}\n")
    (folder / now).write_text(f"{usage}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{stat} {cached}\n")


TWO = "memory.max memory.current inactive_file"
ONE = "memory.limit_in_bytes memory.usage_in_bytes total_inactive_file"


def test_what_is_available_is_the_least_of_machine_and_groups(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of version 2 and of version 1, in the group itself and in those around it."""
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "GROUPS", tmp_path / "groups")
    machine(tmp_path / "proc", 800 * MIB, "4:memory:/job/it\n1:cpu,cpuacct:/\n0::/slice/job\n")
    assert memory.available() == 800 * MIB
    group(tmp_path / "groups/slice/job", TWO, "max", 10 * MIB, 0)
    assert memory.available() == 800 * MIB
    group(tmp_path / "groups/slice", TWO, str(500 * MIB), 300 * MIB, 50 * MIB)
    assert memory.available() == 250 * MIB
    group(tmp_path / "groups/memory", ONE, str(120 * MIB), 20 * MIB, 0)
    assert memory.available() == 100 * MIB
    group(tmp_path / "groups/memory/job/it", ONE, str(90 * MIB), 100 * MIB, 0)
    assert memory.available() == 0


def test_no_bound_exceeds_what_there_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    machine(tmp_path / "proc", 800 * MIB, "")
    assert memory.bound(None) == 400 * MIB
    assert memory.bound(100 * MIB) == 100 * MIB
    assert memory.bound(1 << 40) == 720 * MIB
    assert memory.wanting(720 * MIB, 1 << 40).startswith("more than 720M needed, which is all")


@pytest.mark.parametrize(
    ("size", "text"),
    [(4 << 30, "4G"), (600 * MIB, "600M"), (11_776_561_152, "10G"), (1 << 14, "16K"), (900, "900")],
)
def test_sizes_are_written_as_they_are_given(size: int, text: str) -> None:
    assert memory.text(size) == text
