"""Searches that are stopped, killed, out of disk, or raced: nothing is lost, nothing made up."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from bench import models

from refault.explore import Program, UserError, Verdict, check
from refault.explore.engines import _core, portfolio, states
from refault.explore.engines.exploration import Build, Exploration, Options
from refault.explore.engines.states import StateSearch
from refault.explore.search import Engine
from refault.explore.verdict import Limits

Totals = tuple[int, int, int, dict[str, int]]
BUILD = models.philosophers(6, 2)


def totals(search: StateSearch, code: int) -> Totals:
    outcome = search.outcome(code)
    return outcome.states, outcome.transitions, outcome.terminals, outcome.counts


def in_pieces(build: Build, path: Path, *, reduce: bool, piece: int) -> tuple[Totals, int]:
    """Search in pieces of ``piece`` states, each in an exploration of its own."""
    pieces, seen = 0, 0
    while True:
        seen += piece
        options = Options(reduce, checkpoint=path, about="it")
        search = StateSearch(Exploration(build), Limits(max_states=seen), options)
        if pieces:
            search.load()
        code = search.run(60)
        if code == _core.COMPLETE:
            return totals(search, code), pieces
        assert code == _core.LIMIT_STATES
        search.save()
        pieces += 1


@pytest.mark.parametrize(("reduce", "piece"), [(False, 60_000), (True, 4_000)])
def test_a_search_in_pieces_ends_with_the_same_totals(
    tmp_path: Path, reduce: bool, piece: int
) -> None:
    whole = StateSearch(Exploration(BUILD), Limits(), Options(reduce))
    expected = totals(whole, whole.run(60))
    got, pieces = in_pieces(BUILD, tmp_path / "it.checkpoint", reduce=reduce, piece=piece)
    assert pieces > 2
    assert got[:1] + got[2:] == expected[:1] + expected[2:]


def stopped(path: Path, build: Build = BUILD) -> None:
    """Leave a checkpoint of a search that has just begun."""
    search = StateSearch(
        Exploration(build), Limits(max_states=500), Options(False, checkpoint=path, about="it")
    )
    search.run(60)
    search.save()


def resumed(
    path: Path, build: Build = BUILD, *, about: str = "it", reduce: bool = False
) -> Verdict:
    return check(build, engine="states", reduce=reduce, checkpoint=path, resume=True, about=about)


def test_resume_goes_on_or_says_why_not(tmp_path: Path) -> None:
    """Another scenario, another reduction, another model, a torn file: each is refused."""
    path = tmp_path / "it.checkpoint"
    stopped(path)
    with pytest.raises(UserError, match="scenario 'it', this is 'that'"):
        resumed(path, about="that")
    with pytest.raises(UserError, match="reduction False, this is True"):
        resumed(path, reduce=True)
    with pytest.raises(UserError, match="the model has changed"):
        resumed(path, models.philosophers(6, 1))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) - 100])
    with pytest.raises(UserError, match="cut short"):
        resumed(path)
    path.write_bytes(b"something else")
    with pytest.raises(UserError, match="not a checkpoint"):
        resumed(path)
    path.write_bytes(whole)
    resumed(path).assert_finds("deadlock")
    assert not path.exists(), "a search that is complete needs no checkpoint"
    with pytest.raises(UserError, match="No such file"):
        resumed(path)


def test_a_full_disk_leaves_the_checkpoint_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "it.checkpoint"
    stopped(path)
    before = path.read_bytes()

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.warns(RuntimeWarning, match="No space left on device"):
        stopped(path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path], "no torn file is left behind"


def test_the_rival_wins_where_there_are_few_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(states, "ALONE", 0.05)
    verdict = check(models.lastzero(12), time=60)
    verdict.assert_holds()
    assert verdict.evidence.engine == "traces"
    assert verdict.evidence.traces == 15_360


def test_a_killed_rival_costs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kill -9 of the second process: the first goes on alone and comes to its own verdict."""
    monkeypatch.setattr(states, "ALONE", 0.001)
    begin = portfolio.Rival.__init__

    def killed(self: portfolio.Rival, *args: object) -> None:
        begin(self, *args)  # type: ignore[arg-type]
        os.kill(self._pid, signal.SIGKILL)

    monkeypatch.setattr(portfolio.Rival, "__init__", killed)
    verdict = check(BUILD)
    verdict.assert_finds("deadlock")
    assert verdict.evidence.engine == "states"
    assert verdict.counts == {"deadlock": 64}


def test_no_process_is_left_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(portfolio, "QUICK", 0.001)
    check(BUILD)
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def never_both(p: Program) -> None:
    """Two flags that are not to be up together, and nothing that keeps them so."""
    flags = [p.cell(f"flag{i}", 0) for i in range(2)]
    for i, flag in enumerate(flags):
        p.task(f"t{i}", flag.write, 1)
    p.invariant("never both", lambda view: not all(view[f] for f in flags))


def test_random_schedules_find_and_never_prove() -> None:
    """The same seed finds the same; what holds is only inconclusive."""
    found = [check(models.uffd(3, wake_on_eexist=False), engine="random", time=30) for _ in "ab"]
    for verdict in found:
        verdict.assert_finds("lost wakeup")
        assert verdict.evidence.reduction == "random schedules"
    assert found[0].evidence.traces == found[1].evidence.traces
    assert str(check(never_both, engine="random", time=30)) == "invariant violation"
    nothing = check(models.philosophers(3, swapped=True), engine="random", time=0.1)
    assert nothing.kind == "inconclusive"
    assert nothing.evidence.traces > 100


def test_what_is_declared_possible_must_happen() -> None:
    def build(p: Program, *, reachable: bool) -> None:
        x = p.cell("x", 0)
        saw = p.possible("somebody sees 1")

        def look() -> None:
            if x.read() == 1:
                saw()

        p.task("look", look)
        if reachable:
            p.task("set", x.write, 1)

    engines: tuple[Engine, ...] = ("portfolio", "states", "traces")
    for engine in engines:
        check(lambda p: build(p, reachable=True), engine=engine).assert_holds()
        verdict = check(lambda p: build(p, reachable=False), engine=engine)
        assert str(verdict) == "vacuous"
        assert verdict.reason == "never happened: somebody sees 1"
        with pytest.raises(AssertionError, match="vacuous: never happened"):
            verdict.assert_holds()
