"""Random programs on the model and on the running kernel, and what is made of differences."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from refault.errors import UserError
from refault.litmus import Litmus
from refault.litmus.program import MONITOR, Outcome, Program
from refault.live.fuzz import (
    Bench,
    Compared,
    Recipe,
    Tally,
    fuzz,
    generate,
    reproducer,
    saved,
    shrink,
)
from refault.live.fuzz.run import _note, _resumed


def explained(tally: Tally) -> None:
    assert not tally.differences
    assert sum(tally.discarded.values()) * 20 <= tally.sequences


@pytest.mark.usefixtures("uffd_allowed")
def test_the_running_kernel_does_what_the_model_says() -> None:
    explained(fuzz(400, seed=1))


@pytest.mark.slow
@pytest.mark.usefixtures("uffd_allowed")
def test_a_hundred_thousand_operations() -> None:
    explained(fuzz(100_000, seed=2))


class Fake(Bench):
    """Says that programs differ which have a certain step, and is interrupted once."""

    def __init__(self, step: str = "", interrupt: int = -1) -> None:
        super().__init__("6.18")
        self.step, self.interrupt = step, interrupt
        self.seen: list[Program] = []

    def compare(self, program: Program) -> Compared:
        """Without a kernel."""
        if len(self.seen) == self.interrupt:
            self.interrupt = -1
            raise KeyboardInterrupt
        self.seen.append(program)
        outcome: Outcome = tuple((label, "0") for label in program.labels)
        there = any(step.do == self.step for step in program.steps)
        return Compared("differ" if there else "agree", outcome)


def test_a_difference_is_shrunk_to_the_step_that_makes_it() -> None:
    program = next(
        p
        for p in (generate(random.Random(seed), Recipe(forks=0)) for seed in range(99))
        if any(step.do == "poison" for step in p.steps)
    )
    small = shrink(program, lambda p: any(step.do == "poison" for step in p.steps))
    left = [step for step in small.steps if not step.label.startswith("at the end")]
    assert [step.do for step in left] == ["poison"]
    assert left[0].args["pages"] == 1
    assert small.features == program.features


def test_what_differs_is_saved_and_can_be_read_again(tmp_path: Path) -> None:
    tally = fuzz(1000, seed=3, folder=tmp_path, bench=Fake("move"), most=2)
    assert len(tally.differences) == 2
    for path in map(Path, tally.differences):
        assert {step.do for step in saved(path).steps} >= {"move"}
        assert "int main" in path.with_suffix(".c").read_text()
    assert not list(tmp_path.glob("*.session.json"))


def test_an_interrupted_session_goes_on_where_it_stopped(tmp_path: Path) -> None:
    whole = Fake()
    fuzz(300, seed=4, bench=whole)
    bench = Fake(interrupt=7)
    tally = fuzz(300, seed=4, folder=tmp_path, bench=bench)
    assert tally.interrupted
    assert tally.next == 7
    again = fuzz(300, seed=4, folder=tmp_path, bench=bench)
    assert not again.interrupted
    assert again.operations >= 300
    assert bench.seen == whole.seen


def test_a_session_that_is_none_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "5.session.json").write_text('{"seeds": 5}')
    with pytest.raises(UserError, match="is no session"):
        fuzz(10, seed=5, folder=tmp_path, bench=Fake())
    (tmp_path / "no.json").write_text(json.dumps({"program": {"memories": 3}}))
    with pytest.raises(UserError, match="holds no program"):
        saved(tmp_path / "no.json")


def test_programs_are_a_matter_of_the_seed() -> None:
    assert generate(random.Random("7/7")) == generate(random.Random("7/7"))
    program = generate(random.Random("7/8"))
    assert Program.from_json(json.loads(json.dumps(program.to_json()))) == program


def test_a_forked_program_leaves_the_userfaultfd_to_the_monitor() -> None:
    for seed in range(30):
        program = generate(random.Random(seed), Recipe(forks=1))
        assert sum(step.do == "fork" for step in program.steps) == 1
        asked = {step.thread for step in program.steps if step.do in ("copy", "read", "register")}
        assert asked <= {MONITOR}


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_programs_in_c_build(tmp_path: Path) -> None:
    t = Litmus()
    t.userfaultfd("WP_UNPOPULATED")
    p = t.memory("p", 2, modes="missing wp", contents="page", protected=True)
    t.memory("s", 2, kind="shmem", shared=True, contents="cached", modes="")
    t.thread("a").load(p)
    programs = [t.program, *(generate(random.Random(n), Recipe(forks=0)) for n in range(3))]
    for number, program in enumerate(programs):
        source = tmp_path / f"{number}.c"
        source.write_text(reproducer(program))
        command = ["gcc", "-Wall", "-Wextra", "-Werror", "-pthread", "-o", str(tmp_path / "out")]
        subprocess.run([*command, str(source)], check=True)


def test_what_was_discarded_is_kept_too(tmp_path: Path) -> None:
    tally = Tally(seed=3, next=2, sequences=2, discarded=Counter({"no room": 1}))
    _note(tmp_path, tally)
    assert _resumed(tmp_path, 3) == tally
