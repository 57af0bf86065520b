"""Several threads see, count and find what one does."""

from __future__ import annotations

import os
import signal
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from bench import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.explore.agreement import agree, enumerated
from tests.explore.language import Model
from tests.explore.strategies import models as random_models
from tests.explore.strategies import symmetric_models
from tests.explore.translate import translate

from refault.explore import Cell, Program, UserError, Verdict, atomic, check, choose, restart
from refault.explore.engines import states
from refault.explore.engines.cycles import components, has_cycle, may_come_back
from refault.explore.engines.exploration import Build, Exploration, Options
from refault.explore.verdict import Limits

fast = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.fixture(autouse=True, scope="module")
def from_the_start() -> Iterator[None]:
    """Small searches too have several threads here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(states, "ALONE", 0.0)
        yield


def plain(build: Build, jobs: int, **more: object) -> Verdict:
    return check(build, engine="states", reduce=False, explain=False, jobs=jobs, **more)  # type: ignore[arg-type]


def totals(verdict: Verdict) -> tuple[object, ...]:
    e = verdict.evidence
    return str(verdict), e.states, e.transitions, e.terminals, verdict.counts, verdict.terminals


@pytest.mark.parametrize("jobs", [2, 3, 8])
@pytest.mark.parametrize(
    "build",
    [
        models.philosophers(5, 2),
        models.lastzero(7),
        models.uffd(3),
        models.uffd(3, wake_on_eexist=False),
    ],
)
def test_totals_are_those_of_one_thread(build: Build, jobs: int) -> None:
    """More threads than cores, too."""
    one = plain(build, 1, keep_terminals=True)
    many = plain(build, jobs, keep_terminals=True)
    assert totals(many) == totals(one)
    assert (one.evidence.workers, many.evidence.workers) == (1, jobs)


@fast
@given(random_models())
def test_random_models_have_the_same_totals(model: Model) -> None:
    one, two, three = (plain(translate(model), n, keep_terminals=True, time=20) for n in (1, 2, 3))
    assert totals(one) == totals(two) == totals(three)


@fast
@given(st.one_of(random_models(), symmetric_models()))
def test_threads_find_what_there_is(model: Model) -> None:
    """With each reduction, livelocks and shortest counterexamples included."""
    known = enumerated(model)
    for reduce in (False, True, "futures"):
        agree(known, {"engine": "states", "reduce": reduce, "jobs": 2})


def chooses(p: Program) -> None:
    """Wide choices at the top: most of the work is below other choices of one step."""
    x = p.cell("x", 0)

    def pick() -> None:
        a, b = choose(*range(7)), choose(*range(7))
        with atomic():
            x.update(lambda old: ((old + a * b) % 11, None))

    for i in range(3):
        p.task(f"t{i}", pick)


@pytest.mark.parametrize("reduce", [False, True])
def test_choices_are_shared_out(reduce: bool) -> None:
    found = [
        check(chooses, engine="states", reduce=reduce, jobs=n, keep_terminals=True).terminals
        for n in (1, 4)
    ]
    assert found[0] == found[1]


def test_a_limit_stops_all_threads() -> None:
    """Not a state more than one for each thread; nothing is lost by promises not kept."""
    for most in (10, 1_000, 20_000):
        verdict = plain(models.philosophers(5, 2, swapped=True), 3, max_states=most)
        assert verdict.kind == "inconclusive"
        assert most <= verdict.evidence.states <= most + 3
    assert "--time" in plain(models.philosophers(8, 2, swapped=True), 2, time=0.2).reason
    assert "--max-memory" in plain(models.lastzero(9), 2, max_memory=1 << 14).reason


def test_an_error_in_the_model_stops_all_threads() -> None:
    def build(p: Program) -> None:
        cells = [p.cell(f"c{i}", 0) for i in range(4)]

        def walk(own: Cell[int]) -> None:
            own.write(1)
            if sum(c.read() for c in cells) == 4:
                raise OSError("a mistake")

        for i, cell in enumerate(cells):
            p.task(f"t{i}", walk, cell)

    with pytest.raises(UserError, match="a mistake"):
        plain(build, 3)
    assert threading.active_count() == 1


def test_ctrl_c_stops_all_threads() -> None:
    threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT)).start()
    verdict = plain(models.philosophers(9, 2, swapped=True), 2)
    assert verdict.reason == "interrupted"
    assert verdict.evidence.states > 0


@pytest.mark.parametrize("jobs", [(2, 1), (1, 3), (3, 2)])
def test_resume_with_another_number_of_threads(tmp_path: Path, jobs: tuple[int, int]) -> None:
    """One stack a thread is written down, and taken up by as many as there are now."""
    path = tmp_path / "it.checkpoint"
    build = models.philosophers(5, 2)
    whole = plain(build, 1)
    search = states.StateSearch(
        Exploration(build), Limits(max_states=20_000), Options(False, checkpoint=path)
    )
    search.jobs = jobs[0]
    search.run(60)
    search.save()
    rest = plain(build, jobs[1], checkpoint=path, resume=True)
    assert totals(rest) == totals(whole)


def test_no_jobs_search_nothing() -> None:
    with pytest.raises(UserError, match="0 jobs"):
        plain(models.lastzero(3), 0)


# ---- whether a run can come back, which threads cannot tell ------------------------------------


def explored(build: Build) -> Exploration:
    exploration = Exploration(build)
    states.StateSearch(exploration, Limits(), Options(False)).run(60)
    return exploration


def serves(p: Program, *, refills: bool) -> None:
    """A server takes for ever what there is, and puts it back or not."""
    stock = p.cell("stock", 3)

    def server() -> None:
        while True:
            restart()
            stock.wait(lambda old: old > 0)
            stock.update(lambda old: (old - 1 if old else 3 if refills else 0, None))

    p.task("server", server, daemon=True)


def test_a_server_that_runs_dry_ends() -> None:
    """It comes back to its loop, but the stock does not come back."""
    dry = explored(lambda p: serves(p, refills=False)).tables
    assert has_cycle(dry)
    assert not may_come_back(dry)


def test_a_look_that_finds_something_else_ends() -> None:
    """Nobody fills the page: found missing and found there are on no common cycle."""

    def build(p: Program) -> None:
        page = p.cell("page", "missing")

        def faults() -> None:
            while True:
                restart()
                if page.read() == "there":
                    return
                if page.read() == "missing":
                    page.wait(lambda now: now == "there")

        p.task("faults", faults)
        p.task("fills", page.write, "there")

    tables = explored(build).tables
    assert has_cycle(tables)
    assert not may_come_back(tables)


def never_both(p: Program) -> None:
    """Two flags that are never up together, but look so to somebody who reads one by one."""
    a, b = p.cell("a", 1), p.cell("b", 0)

    def toggle() -> None:
        with atomic():
            a.write(0)
            b.write(1)

    def look() -> None:
        while True:
            restart()
            if a.read() == 0 or b.read() == 0:
                return

    p.task("toggle", toggle)
    p.task("look", look)


def test_what_the_tables_leave_open_is_searched_again() -> None:
    """What holds two cells together no table knows; one more search by one thread does."""
    assert may_come_back(explored(never_both).tables)
    verdict = check(never_both, engine="states", jobs=2)
    verdict.assert_holds()
    assert verdict.evidence.liveness == "every run ends: the graph of states has no cycle"


@fast
@given(random_models())
def test_what_comes_back_is_never_ruled_out(model: Model) -> None:
    """If the enumeration knows an endless run, the tables leave it open."""
    known = enumerated(model)
    tables = explored(translate(model)).tables
    assert may_come_back(tables) or not known.forever.endless
    assert has_cycle(tables) or not may_come_back(tables)


def test_components() -> None:
    number = components([(1, 2), (2, 3), (3, 1), (3, 4), (4, 5), (5, 4), (6, 6)])
    assert number[1] == number[2] == number[3]
    assert number[4] == number[5]
    assert len({number[n] for n in (1, 4, 6)}) == 3


# ---- the set that they share -------------------------------------------------------------------


@pytest.mark.parametrize("sanitize", ["thread", "address,undefined"])
def test_the_shared_set(tmp_path: Path, sanitize: str) -> None:
    """Four threads add the same fingerprints while it grows: each is new once, none is lost."""
    compiler = (sysconfig.get_config_var("CC") or "cc").split()
    source = Path(__file__).with_name("shared_set.c")
    program = tmp_path / "shared_set"
    headers = Path(states.__file__).parent
    options = ["-g", "-O1", f"-fsanitize={sanitize}", f"-I{headers}", "-lpthread"]
    built = subprocess.run(
        [*compiler, *options, source, "-o", program], capture_output=True, text=True, check=False
    )
    if built.returncode:
        pytest.skip(f"no {sanitize} sanitizer here: {built.stderr[-200:]}")
    ran = subprocess.run([program], capture_output=True, text=True, timeout=120, check=False)
    if "unexpected memory mapping" in ran.stderr:
        pytest.skip("the sanitizer cannot run on this kernel")
    assert ran.returncode == 0, ran.stderr
    assert "as it should be" in ran.stdout
