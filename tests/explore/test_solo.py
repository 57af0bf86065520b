"""A run of one task alone: what it returns, breaks, waits for, and when it goes round."""

from __future__ import annotations

import pytest

from refault.explore import Program, Violation, choose, finish, note, restart, scope
from refault.explore.errors import ModelError
from refault.explore.solo import Ended, Endless, Solo, Stuck


def test_it_begins_with_the_initial_values_each_time() -> None:
    program = Program()
    cell = program.cell("x", 1)

    def work() -> int:
        cell.write(cell.read() + 1)
        note("more")
        return cell.read()

    for _ in range(2):
        solo = Solo(program, "task")
        assert solo.run(work) == 2
        assert (solo[cell], solo.notes) == (2, ["more"])


def _break(value: int) -> tuple[int, None]:
    raise Violation("BUG", f"{value} is wrong")


def test_what_it_runs_into_is_raised() -> None:
    program = Program()
    cell = program.cell("x", 1)
    with pytest.raises(Stuck, match=r"x\.wait"):
        Solo(program, "task").run(lambda: cell.wait(lambda value: value > 1))
    with pytest.raises(Violation, match="1 is wrong"):
        Solo(program, "task").run(lambda: cell.update(_break))
    with pytest.raises(Ended):
        Solo(program, "task").run(finish)
    with pytest.raises(ModelError, match="a choice"):
        Solo(program, "task").run(lambda: choose(1, 2))


def test_a_loop_that_changes_something_ends_and_one_that_does_not_is_found() -> None:
    program = Program()
    cell = program.cell("x", 0)

    def count(to: int, by: int) -> int:
        while cell.read() < to:
            restart()
            cell.write(cell.read() + by)
        return cell.read()

    assert Solo(program, "task").run(lambda: count(5, 1)) == 5
    with pytest.raises(Endless):
        Solo(program, "task").run(lambda: count(5, 0))


def test_the_same_function_twice_is_no_loop() -> None:
    program = Program()
    cell = program.cell("x", 0)

    @scope
    def look() -> int:
        restart()
        return cell.read()

    assert Solo(program, "task").run(lambda: look() + look()) == 0
