"""A task that ends before its function returns, and remarks on runs that never end."""

from __future__ import annotations

import pytest

from refault.explore import (
    Finding,
    ModelError,
    Program,
    View,
    atomic,
    check,
    finish,
    replay,
    restart,
    scope,
    traced,
)


def test_a_task_ends_where_it_is_and_nothing_that_unwinds_operates() -> None:
    def build(p: Program) -> None:
        entered, unwound = p.cell("entered", False), p.cell("unwound", False)
        p.invariant("nothing is unwound", lambda view: not view[unwound])

        @traced
        def inner() -> None:
            entered.write(True)
            finish()

        def task() -> None:
            try:
                inner()
            finally:
                unwound.write(True)
            raise AssertionError("went on")

        p.task("t", task)
        p.at_end(lambda view: None if view.done("t") and view[entered] else Finding("not done"))

    assert str(check(build)) == "holds"
    trace = replay(build, [("t", 0)])
    assert trace.waiting == ()


def test_a_task_can_end_in_a_loop_that_others_go_on_with() -> None:
    def build(p: Program) -> None:
        stop = p.cell("stop", False)

        @scope
        def spin() -> None:
            while True:
                restart()
                if stop.read():
                    finish()

        p.task("spinner", spin)
        p.task("stopper", lambda: stop.write(True))

    assert str(check(build)) == "holds"


def test_a_task_cannot_end_in_the_middle_of_a_step() -> None:
    def build(p: Program) -> None:
        cell = p.cell("cell", 0)

        def task() -> None:
            with atomic():
                cell.write(1)
                finish()

        p.task("t", task)

    with pytest.raises(ModelError, match="inside atomic"):
        check(build)


def test_a_model_can_say_more_of_a_run_that_never_ends() -> None:
    def build(p: Program) -> None:
        flag = p.cell("flag", False)

        def told(view: View) -> tuple[str, ...]:
            return (f"the flag is {view[flag]}",)

        p.when_endless(told)

        @scope
        def spin() -> None:
            while not flag.read():
                restart()

        p.task("spinner", spin)

    finding = check(build).findings[0][0]
    assert finding.kind == "livelock"
    assert "the flag is False" in finding.detail
