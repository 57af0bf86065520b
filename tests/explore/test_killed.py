"""Kill -9 and full disks: the search goes on and ends the same, or says why it does not."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from bench import models

from refault.explore import UserError, Verdict, check
from refault.explore.engines import portfolio, samples, states

BUILD = models.philosophers(7, 2)
WHOLE = (3_011_363, 13_133_918, 129, {"deadlock": 128})


def totals(verdict: Verdict) -> tuple[object, ...]:
    e = verdict.evidence
    return e.states, e.transitions, e.terminals, verdict.counts


def coordinator(path: Path, *, jobs: int) -> subprocess.Popen[str]:
    """A search of its own that writes a checkpoint every now and then."""
    program = f"""
        from pathlib import Path
        from bench import models
        from refault.explore import check
        from refault.explore.engines import states
        states.ALONE = 0.1
        check(models.philosophers(7, 2), engine="states", reduce=False, explain=False,
              jobs={jobs}, checkpoint=Path({str(path)!r}), checkpoint_every=0.05)
    """
    env = dict(os.environ, PYTHONPATH=os.pathsep.join(p or "." for p in sys.path))
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)], env=env, text=True, stderr=subprocess.PIPE
    )


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (3, 3)])
def test_a_killed_coordinator_is_resumed(tmp_path: Path, before: int, after: int) -> None:
    """Whatever it was doing when it was killed, writing a checkpoint included."""
    path = tmp_path / "it.checkpoint"
    process = coordinator(path, jobs=before)
    deadline = time.monotonic() + 60
    while not path.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL, "it was killed on its way"
    verdict = check(
        BUILD,
        engine="states",
        reduce=False,
        explain=False,
        jobs=after,
        checkpoint=path,
        resume=True,
    )
    assert totals(verdict) == WHOLE
    assert not path.exists()


def test_a_full_disk_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Files may not grow beyond a size: the search ends right, the last good checkpoint stays."""
    path = tmp_path / "it.checkpoint"
    monkeypatch.setattr(states, "ALONE", 0.1)
    kept: list[tuple[int, bytes]] = []
    unlink = Path.unlink

    def keep(self: Path, missing_ok: bool = False) -> None:
        kept.append((self.stat().st_size, self.read_bytes()))
        unlink(self, missing_ok)

    monkeypatch.setattr(Path, "unlink", keep)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    try:
        with pytest.warns(RuntimeWarning, match="no checkpoint was written"):
            verdict = check(
                BUILD,
                engine="states",
                reduce=False,
                explain=False,
                checkpoint=path,
                checkpoint_every=0.05,
                jobs=2,
            )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert totals(verdict) == WHOLE
    ((size, last),) = kept
    assert size <= 8 << 20
    assert not list(tmp_path.iterdir()), "no torn file is left behind"
    path.write_bytes(last)
    rest = check(BUILD, engine="states", reduce=False, explain=False, checkpoint=path, resume=True)
    assert totals(rest) == WHOLE


def test_the_core_of_a_killed_rival_goes_to_the_states(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "ALONE", 0.001)
    begin = portfolio.Rival.__init__

    def killed(self: portfolio.Rival, *args: object) -> None:
        begin(self, *args)  # type: ignore[arg-type]
        os.kill(self._pid, signal.SIGKILL)

    monkeypatch.setattr(portfolio.Rival, "__init__", killed)
    verdict = check(BUILD, reduce=False, explain=False, jobs=2)
    assert totals(verdict) == WHOLE
    assert (verdict.evidence.engine, verdict.evidence.workers) == ("states", 2)


def test_random_schedules_yield_their_core(monkeypatch: pytest.MonkeyPatch) -> None:
    """With endless tasks the rival takes random schedules, and tires of it."""
    monkeypatch.setattr(states, "ALONE", 0.001)
    monkeypatch.setattr(samples, "PATIENCE", 0.01)
    monkeypatch.setattr(portfolio, "_finite", lambda _exploration: False)
    verdict = check(models.philosophers(7, 2, swapped=True), reduce=False, jobs=2)
    verdict.assert_holds()
    assert verdict.evidence.workers == 2


def test_a_checkpoint_that_cannot_be_read_says_so(tmp_path: Path) -> None:
    path = tmp_path / "it.checkpoint"
    path.write_bytes(b"refault checkpoint 1\n" + bytes(100))
    with pytest.raises(UserError, match=re.escape(f"{path} is not a checkpoint of this format")):
        check(BUILD, engine="states", checkpoint=path, resume=True)
