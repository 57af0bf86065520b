"""Paired runs of refault and of every peer that is here.

In each round refault runs, and each peer; the order changes from round to round. In the first round
a peer is stopped when it has taken ``patience`` seconds and is not the best so far; if none
finished by then, they have the full time, one after the other, until one does. Who did not finish
is out. Who took three times as long as the best, and more than a second, is measured once, except
SPIN, with which there is a target of its own.
"""

from __future__ import annotations

import json
import math
import os
import platform
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from bench.peers.found import PEERS, found
from bench.peers.peer import Bounds, Measured, Peer, Said
from bench.process import GIB, run
from bench.programs import PROGRAMS, Bench
from bench.targets import TIMES_SPIN

ROOT = Path(__file__).parent.parent
SLOWER, BRIEF = 3, 1.0
MEGA = 1_000_000


class Plan(NamedTuple):
    """How to measure."""

    runs: int = 5
    timeout: float = 60.0
    patience: float = 5.0
    memory: int = 4 * GIB
    as_written: bool = False


def refault_once(program: str, plan: Plan) -> Measured:
    """Check ``program`` in a fresh interpreter, from the start of ``python`` to its end."""
    return refault_bench(PROGRAMS[program], plan)


def refault_bench(bench: Bench, plan: Plan) -> Measured:
    """Check any program of ``models``."""
    command = [sys.executable, "-m", "bench.one", str(bench), "--time", str(plan.timeout)]
    command += ["--memory", str(plan.memory)]
    usage = run(command, timeout=plan.timeout + 10, memory=2 * plan.memory, cwd=ROOT)
    if not usage.ok and not usage.stopped:
        raise RuntimeError(f"refault failed:\n{usage.output.strip()[-2000:]}")
    said, stopped = None, usage.stopped
    if usage.ok:
        verdict = json.loads(usage.output.splitlines()[-1])
        stopped = verdict["reason"]
        if verdict["kind"] != "inconclusive":
            said = Said(verdict["states"] or verdict["traces"], verdict["kind"] == "violated")
    return Measured(usage.wall, usage.cpu, usage.wall, usage.peak, said, stopped)


def peer_once(peer: Peer, program: str, plan: Plan, seconds: float) -> Measured:
    """Let a peer compile and check its twin, in a folder of its own."""
    bounds = Bounds(seconds, plan.memory, plan.as_written)
    with tempfile.TemporaryDirectory(prefix="refault-bench-") as folder:
        return peer.measure(PROGRAMS[program], Path(folder), bounds)


Runs = dict[str, list[Measured]]
OURS = "refault"


def measure(program: str, plan: Plan) -> dict[str, Any]:
    """Measure one program; the shape of the result is that of ``summary``."""
    here = found()
    peers = {p.name: p for p in PEERS if p.name in here and p.has(PROGRAMS[program])}
    runs: Runs = {OURS: [refault_once(program, plan)]}
    for name, peer in peers.items():
        runs[name] = [peer_once(peer, program, plan, _limit(name, runs, plan))]
    if _best(runs) == math.inf:
        for name in [n for n in peers if runs[n][0].stopped == "time"]:
            limit = min(plan.timeout, _best(runs))
            runs[name] = [peer_once(peers[name], program, plan, limit)]
    again = [OURS, *(name for name in peers if _again(name, runs))]
    for turn in range(1, plan.runs):
        for name in _order(again, turn):
            if name == OURS:
                runs[name].append(refault_once(program, plan))
            else:
                runs[name].append(peer_once(peers[name], program, plan, plan.timeout))
    return summary(program, runs)


def _best(runs: Runs) -> float:
    """The seconds of the best peer so far."""
    return min((r[0].seconds for n, r in runs.items() if n != OURS and r[0].said), default=math.inf)


def _limit(name: str, runs: Runs, plan: Plan) -> float:
    """How long a peer may take in the first round.

    That is no longer than the best so far, if it is beyond patience; SPIN may take a little more
    than the time that the target for it comes to.
    """
    best = _best(runs)
    patience = max(plan.patience, best) if best < math.inf else plan.patience
    if name == "SPIN":
        patience = max(patience, 1 + TIMES_SPIN * runs[OURS][0].seconds)
    return min(patience, plan.timeout)


def _again(name: str, runs: Runs) -> bool:
    first = runs[name][0]
    brief = first.seconds < max(SLOWER * _best(runs), BRIEF)
    return first.said is not None and (brief or name == "SPIN")


def _order(names: list[str], turn: int) -> Iterator[str]:
    """Go round, each time from the next one on, and every other time backwards."""
    start = turn % len(names)
    turned = names[start:] + names[:start]
    yield from turned if turn % 2 else reversed(turned)


def summary(program: str, runs: Runs) -> dict[str, Any]:
    """Medians, as plain data.

    ``refault_s``, ``refault_cpu_s``, ``refault_mb``; of each peer the same in ``peers`` (seconds by
    the wall, compilation included, ``null`` if it did not finish), ``peers_alone`` (without
    compilation), ``peers_cpu``, ``peers_mb``, ``peers_runs`` (how many), ``peers_stopped`` (what
    ended those that did not finish: see ``Measured``; and after how many seconds). ``ratio`` is the
    median over the pairs of the best peer's seconds by refault's, ``best`` its name,
    ``spin_ratio`` that of SPIN, or a bound from below if ``spin_ratio_at_least``.
    """
    theirs = {name: r for name, r in runs.items() if name != OURS}
    done = {name: r for name, r in theirs.items() if all(m.said for m in r)}
    ours = runs[OURS]
    best = min(done, key=lambda name: _mid(done[name], "seconds"), default=None)
    spin = theirs.get("SPIN")
    return {
        "program": program,
        "refault_s": _mid(ours, "seconds"),
        "refault_cpu_s": _mid(ours, "cpu"),
        "refault_mb": _mid(ours, "peak") / MEGA,
        "refault_finished": all(m.said for m in ours),
        "runs": len(ours),
        "peers": {n: _mid(r, "seconds") if n in done else None for n, r in theirs.items()},
        "peers_alone": {n: _mid(r, "alone") if n in done else None for n, r in theirs.items()},
        "peers_cpu": {n: _mid(r, "cpu") for n, r in theirs.items()},
        "peers_mb": {n: _mid(r, "peak") / MEGA for n, r in theirs.items()},
        "peers_runs": {n: len(r) for n, r in theirs.items()},
        "peers_stopped": {
            n: {"by": r[-1].stopped, "s": r[-1].seconds} for n, r in theirs.items() if n not in done
        },
        "best": best,
        "ratio": _ratio(ours, done[best]) if best else None,
        "spin_ratio": _ratio(ours, spin) if spin else None,
        "spin_ratio_at_least": "SPIN" in theirs and "SPIN" not in done,
    }


def _mid(runs: list[Measured], what: str) -> float:
    return round(float(median(getattr(m, what) for m in runs)), 4)


def _ratio(ours: list[Measured], theirs: list[Measured]) -> float:
    """The median over the pairs; a peer that was measured less often has fewer."""
    pairs = [b.seconds / a.seconds for a, b in zip(ours, theirs, strict=False)]
    return round(median(pairs), 2)


def surroundings() -> dict[str, Any]:
    """Where and when, and what is here."""
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": _machine(),
        "python": platform.python_version(),
        "refault": _version(),
        "versions": found(),
    }


def _version() -> str:
    code = "from importlib.metadata import version; print(version('refault'))"
    usage = run([sys.executable, "-c", code], timeout=20, cwd=ROOT)
    return usage.output.strip() if usage.ok else "not installed"


def _machine() -> str:
    model = platform.processor() or platform.machine()
    with open("/proc/cpuinfo") as cpus:
        for line in cpus:
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    cores = len(os.sched_getaffinity(0))
    return f"{cores} core{'s' * (cores > 1)} of {model}, {platform.system()} {platform.release()}"
