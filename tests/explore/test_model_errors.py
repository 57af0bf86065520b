"""A model that breaks the rules gets a clear error, never a verdict."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import Any

import pytest

from refault.explore import (
    BLOCKED,
    Cell,
    EndlessLoop,
    HiddenState,
    ModelError,
    Nondeterminism,
    Program,
    UserError,
    Violation,
    atomic,
    check,
    choose,
    restart,
    scope,
)

Build = Callable[[Program], None]


def two_cells(task: Callable[[Cell[Any], Cell[Any]], None], *, writers: int = 1) -> Build:
    """One task over cells a and b, and others that change a, so that histories differ."""

    def build(p: Program) -> None:
        a: Cell[Any] = p.cell("a", 0)
        b: Cell[Any] = p.cell("b", 0)
        p.task("model", task, a, b)
        for i in range(writers):
            p.task(f"writer{i}", a.write, i + 1)

    return build


def here(error: UserError, function: str) -> None:
    """The message must name this file, a line, and the function."""
    assert "test_model_errors.py:" in error.message
    assert function in error.message
    assert error.remedy


def test_a_task_that_rolls_dice_is_found_out() -> None:
    """Run again on the same results, it asks for something else."""
    dice = random.Random(1)

    def gambler(a: Cell[int], b: Cell[int]) -> None:
        for _ in range(12):
            (a if dice.random() < 0.5 else b).read()

    with pytest.raises(Nondeterminism, match="not deterministic") as caught:
        check(two_cells(gambler))
    here(caught.value, "gambler")


def test_a_task_that_counts_its_runs_is_found_out() -> None:
    """State that outlives a run is the other source of nondeterminism."""
    runs = count()

    def counts(a: Cell[int], b: Cell[int]) -> None:
        first = next(runs) == 0
        a.read()
        (a if first else b).read()

    with pytest.raises(Nondeterminism) as caught:
        check(two_cells(counts))
    here(caught.value, "counts")


def test_a_flag_that_lives_across_a_restart_is_hidden_state() -> None:
    """The second round does something else than the first, and restart() was told of nothing."""

    def moody(a: Cell[int], b: Cell[int]) -> None:
        first = True
        while True:
            restart()
            (a if first else b).read()
            first = False

    with pytest.raises(HiddenState, match="hidden state") as caught:
        check(two_cells(moody))
    here(caught.value, "moody")


def test_a_list_that_grows_across_restarts_is_hidden_state() -> None:
    """Two rounds look alike; the third tells."""

    def hoarder(a: Cell[int], b: Cell[int]) -> None:
        seen: list[int] = []
        while len(seen) < 3:
            restart()
            seen.append(a.read())
        b.write(1)

    with pytest.raises(HiddenState, match="hidden state") as caught:
        check(two_cells(hoarder))
    here(caught.value, "hoarder")


def test_a_scope_that_leaves_more_than_it_returns_is_hidden_state() -> None:
    """What the scope learned must be in its return value."""

    def smuggler(a: Cell[int], b: Cell[int]) -> None:
        learned: list[int] = []

        @scope
        def look() -> None:
            learned.append(a.read())

        look()
        (b if learned[0] else a).read()

    with pytest.raises(HiddenState) as caught:
        check(two_cells(smuggler))
    here(caught.value, "smuggler")


def test_the_same_loop_with_its_state_named_is_fine() -> None:
    """The remedy that the error gives is right."""

    def honest(a: Cell[int], b: Cell[int]) -> None:
        rounds = 0
        while rounds < 3:
            restart(rounds)
            a.read()
            rounds += 1
        b.write(1)

    check(two_cells(honest)).assert_holds()


def test_two_loops_in_a_row_are_two_restart_points() -> None:
    """Neither knows anything, yet they are not one and the same."""

    def waits_twice(a: Cell[int], b: Cell[int]) -> None:
        while True:
            restart()
            if a.read():
                break
        while True:
            restart()
            if a.read() > 1:
                break
        b.write(1)

    check(two_cells(waits_twice, writers=2), keep_terminals=True)


def test_an_endless_loop_without_restart_is_named() -> None:
    """The history of such a task grows for ever."""

    def spins(a: Cell[int], _b: Cell[int]) -> None:
        while True:
            a.read()

    with pytest.raises(EndlessLoop, match=r"restart") as caught:
        check(two_cells(spins), max_history=200)
    here(caught.value, "spins")


def test_the_default_history_ends_an_endless_loop_too() -> None:
    """Nobody has to set the limit."""

    def spins(a: Cell[int], _b: Cell[int]) -> None:
        while True:
            a.read()

    with pytest.raises(EndlessLoop):
        check(two_cells(spins, writers=0))


def test_a_choice_inside_an_atomic_block_is_refused() -> None:
    """A choice is a step of its own."""

    def chooses(a: Cell[int], _b: Cell[int]) -> None:
        with atomic():
            a.write(choose(1, 2))

    with pytest.raises(ModelError, match="atomic") as caught:
        check(two_cells(chooses))
    here(caught.value, "chooses")


def test_a_choice_of_nothing_is_refused() -> None:
    """There would be no step to take."""
    with pytest.raises(ModelError, match="no options"):
        check(two_cells(lambda _a, _b: choose()))


def test_a_failed_assertion_names_its_line() -> None:
    """The verdict says where and what."""

    def asserts(a: Cell[int], _b: Cell[int]) -> None:
        assert a.read() == 0, "somebody wrote"

    verdict = check(two_cells(asserts))
    verdict.assert_finds("assertion failure")
    ((finding, trace),) = verdict.findings
    line = asserts.__code__.co_firstlineno + 1
    assert f"test_model_errors.py:{line}" in finding.message
    assert finding.message.endswith("(asserts): somebody wrote")
    assert trace is not None
    assert [task for task, _ in trace.schedule] == ["writer0", "model"]


def test_an_assertion_before_the_first_step_fails_at_once() -> None:
    """No task has done anything yet."""

    def hopeless(_a: Cell[int], _b: Cell[int]) -> None:
        raise AssertionError("no hope")

    verdict = check(two_cells(hopeless))
    verdict.assert_finds("assertion failure")
    assert verdict.trace is not None
    assert (verdict.trace.switches, verdict.trace.steps) == (0, 0)


def test_a_violation_keeps_its_name() -> None:
    """What the model calls it is what the verdict says."""

    def touches(a: Cell[int], _b: Cell[int]) -> None:
        if a.read():
            raise Violation("use after free", "the page is gone")

    verdict = check(two_cells(touches))
    verdict.assert_finds("use after free")
    assert verdict.findings[0][0].message == "the page is gone"


@pytest.mark.parametrize("value", [[1], {"a": 1}, {1}, ([],)], ids=repr)
def test_a_value_that_is_not_hashable_is_refused(value: object) -> None:
    """The cell and the place are named."""

    def writes(a: Cell[Any], _b: Cell[Any]) -> None:
        a.write(value)

    with pytest.raises(ModelError, match="not hashable") as caught:
        check(two_cells(writes))
    here(caught.value, "writes")
    assert " a " in caught.value.message


def test_a_cell_cannot_begin_with_such_a_value() -> None:
    """It is refused when the program is built."""
    with pytest.raises(ModelError, match="not hashable") as caught:
        check(lambda p: p.cell("list", []))
    assert "list" in caught.value.message


class Box:
    """A mutable object; Python hashes it by identity."""

    def __init__(self, content: int) -> None:
        self.content = content


def _refill(box: Box) -> tuple[Box, None]:
    box.content += 1
    return box, None


def test_an_object_that_is_compared_by_identity_is_no_value() -> None:
    """It could be changed where no one sees it, and no two would ever be equal."""

    def build(p: Program) -> None:
        box = p.cell("box", Box(0))
        p.task("refills", box.update, _refill)

    with pytest.raises(ModelError, match="identity") as caught:
        check(build)
    assert "box" in caught.value.message


@dataclass(frozen=True)
class Page:
    """An immutable value."""

    dirty: bool = False


def test_changing_a_frozen_value_is_an_error_of_the_model() -> None:
    """It is reported as the exception that Python raises, with its place."""

    def soils(a: Cell[Page], _b: Cell[int]) -> None:
        page = a.read()
        page.dirty = True  # type: ignore[misc]

    def build(p: Program) -> None:
        page, other = p.cell("page", Page()), p.cell("other", 0)
        p.task("model", soils, page, other)

    with pytest.raises(ModelError, match="FrozenInstanceError") as caught:
        check(build)
    here(caught.value, "soils")


def test_an_exception_in_a_task_is_an_error_of_the_model() -> None:
    """No verdict hides it."""

    def divides(a: Cell[int], b: Cell[int]) -> None:
        b.write(1 // a.read())

    with pytest.raises(ModelError, match="ZeroDivisionError") as caught:
        check(two_cells(divides))
    here(caught.value, "divides")


def _half(old: int) -> tuple[int, int]:
    return old, 1 // old


def test_an_operation_must_be_total() -> None:
    """It may be asked at any value that its cell can have."""
    with pytest.raises(ModelError, match="ZeroDivisionError") as caught:
        check(two_cells(lambda a, _b: a.write(a.update(_half))))
    here(caught.value, "_half")


def _forgetful(old: int) -> Any:
    return old + 1


def test_an_update_must_return_a_pair() -> None:
    """A new value alone is not enough."""
    with pytest.raises(ModelError, match="returned") as caught:
        check(two_cells(lambda a, _b: a.update(_forgetful)))
    here(caught.value, "_forgetful")


def test_an_operation_outside_any_task_is_refused() -> None:
    """While the program is built, nothing runs."""
    with pytest.raises(ModelError, match="outside any task"):
        check(lambda p: p.cell("a", 0).write(1))


def test_a_generator_is_no_task() -> None:
    """Tasks are plain functions."""

    def yields() -> Any:
        yield 1

    with pytest.raises(ModelError, match="generator"):
        check(lambda p: p.task("yields", yields))


def test_two_of_the_same_name_are_refused() -> None:
    """Names are how a trace tells cells and tasks apart."""

    def build(p: Program) -> None:
        p.cell("a", 0)
        p.cell("a", 1)

    with pytest.raises(ModelError, match="'a'"):
        check(build)


def test_a_program_without_tasks_is_refused() -> None:
    """There is nothing to check, so nothing holds."""
    with pytest.raises(UserError, match="no tasks"):
        check(lambda p: p.cell("a", 0))


def _never(_old: int) -> Any:
    return BLOCKED


def test_a_failed_model_leaves_the_explorer_usable() -> None:
    """An error in one check does not spoil the next."""
    with pytest.raises(ModelError):
        check(two_cells(lambda a, _b: a.write([])))
    check(two_cells(lambda a, _b: a.update(_never))).assert_finds("deadlock")


def test_hidden_state_that_shows_late_goes_unnoticed() -> None:
    """Known unsoundness: the second round is taken for the first, so the count is never 2.

    Where the flag is set between two looks, the assertion fails in the real program. The two
    histories that meet at the restart differ in nothing that they do next, and the explorer
    goes on with the first. Nothing but the rule for models stands against this.
    """

    def build(p: Program) -> None:
        flag = p.cell("flag", 0)

        def look() -> None:
            rounds = 0
            while True:
                restart()
                rounds += 1
                if flag.read():
                    break
            assert rounds < 2

        p.task("look", look)
        p.task("set", flag.write, 1)

    check(build).assert_holds()
