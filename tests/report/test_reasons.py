"""Marks, remarks and the legend: what a drawing says of why it goes wrong."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from tests.report.golden import assert_golden
from tests.report.traces import DRAWING, explained_traces, trace

from refault.explore.trace import Missed, Order, Trace
from refault.report import diagram


def explain(found: Trace, *orders: Order, **more: object) -> Trace:
    """The same trace with what explains it."""
    return msgspec.structs.replace(found, orders=orders, **more)


def order(
    first: tuple[int, str], second: tuple[int, str], cell: str = "x", *, matters: bool = True
) -> Order:
    """An order of two steps, each given as (step, task)."""
    (a, one), (b, two) = first, second
    return Order(a, b, (one, two), ("write", "read"), cell, matters)


RACE = """
    a . write x 0 -> 1
    b . read x 1
    a . write x 1 -> 2
"""


def body(found: Trace, **options: int) -> list[str]:
    """Return the lines of a drawing below the dashes."""
    return diagram(found, **options).splitlines()[2:]  # type: ignore[arg-type]


def step_of(name: str, cell: str, times: int = 1) -> int:
    """The step of the drawing of the mail that does ``name`` on ``cell`` for the n-th time."""
    steps = [e.step for e in DRAWING.events if (e.name, e.cell) == (name, cell)]
    return steps[times - 1]


def explained_seed() -> Trace:
    """The drawing of the mail with what the explorer says of it."""
    look, enqueue = step_of("read", "fault_pending_wqh", 2), step_of("add_wait_queue", QUEUE)
    missing, filled = step_of("read", "pte", 2), step_of("write", "pte", 1)
    clear, peek, put = step_of("write", "pte", 3), step_of("read", "pte", 4), step_of(*WRITE, 4)
    return explain(
        DRAWING,
        order((missing, "worker"), (filled, "monitor"), "pte"),
        order((look, "monitor"), (enqueue, "worker"), QUEUE),
        order((clear, "monitor"), (peek, "worker"), "pte"),
        order((peek, "worker"), (put, "monitor"), "pte"),
        inevitable=peek + 1,
        missed=(Missed("worker", "monitor", look, "wake_userfault"),),
        waiting=("worker",),
    )


QUEUE = "fault_pending_wqh"
WRITE = ("write", "pte")


def test_the_drawing_of_seed_004_says_what_it_takes() -> None:
    assert_golden("seed-004-explained", diagram(explained_seed()))


def test_marks_fit_into_narrow_columns() -> None:
    assert_golden("seed-004-explained-narrow", diagram(explained_seed(), prefix=" * ", width=56))


def test_lines_whose_order_matters_are_numbered_from_top_to_bottom() -> None:
    found = explain(trace(RACE), order((0, "a"), (1, "b")), order((1, "b"), (2, "a")))
    assert body(found) == [
        "x = 1  (1)",
        "",
        "                read x: 1  (2)",
        "",
        "x = 2  (3)",
        "",
        "It takes (1) before (2) before (3).",
    ]


def test_orders_that_do_not_matter_have_no_marks() -> None:
    found = explain(trace(RACE), order((0, "a"), (1, "b"), matters=False))
    assert body(found) == body(trace(RACE))


def test_a_note_on_what_was_read_has_the_mark() -> None:
    script = """
        b + set
        b . write x 0 -> 1
        b - set
        a + check
        a . read x 1
        a . read y 0
        a # it is there
    """
    found = explain(trace(script), order((0, "b"), (1, "a")))
    assert body(found)[-3:] == [f"{'[it is there]  (2)':>35}", "", "It takes (1) before (2)."]


def test_a_one_line_function_has_the_mark_of_what_it_did() -> None:
    script = "a + set\n a . write x 0 -> 1\n a - set\n b . read x 1"
    found = explain(trace(script), order((0, "a"), (1, "b")))
    assert body(found)[0] == "set()  (1)"


def test_a_quiet_function_gets_its_line_if_its_order_matters() -> None:
    script = "a + f\n a # busy\n a + ~set\n a . write x 0 -> 1\n a - ~set\n a - f\n b . read x 1"
    found = explain(trace(script), order((0, "a"), (1, "b")))
    assert body(found)[:3] == ["f()", " [busy]", " set()  (1)"]


def test_mmap_read_lock_has_a_line_only_if_it_matters() -> None:
    script = """
        a + f
        a + mmap_read_lock
        a . down_read mmap_lock 0 -> 1
        a - mmap_read_lock
        a # done
        b . down_write mmap_lock 0 -> -1
    """
    assert body(trace(script))[:2] == ["f()", " [done]"]
    found = explain(trace(script), order((0, "a"), (1, "b"), "mmap_lock"))
    assert body(found)[:3] == ["f()", " mmap_read_lock()  (1)", " [done]"]


def test_what_a_task_never_came_to_do_is_marked_where_it_is_stuck() -> None:
    script = "a . lock x free -> a\n b . lock y free -> b\n b + mutex_lock(x)"
    found = explain(trace(script), order((0, "a"), (2, "b")))
    assert body(found)[-3:] == [
        f"{'mutex_lock(x)':>29}  (2)",
        "",
        "It takes (1) before (2).",
    ]


def test_it_is_named_where_it_has_no_line() -> None:
    found = explain(trace("a . lock x free -> a\n b . lock y free -> b"), order((0, "a"), (2, "b")))
    assert body(found)[-1] == "It takes (1) before b's read(x)."


def test_where_it_became_inevitable_is_remarked() -> None:
    found = explain(trace(RACE), inevitable=1)
    assert body(found)[:2] == ["x = 1", "[from here on it is inevitable]"]


def test_that_it_is_inevitable_at_its_end_goes_without_saying() -> None:
    found = explain(trace(RACE), inevitable=3)
    assert body(found) == body(trace(RACE))


def test_what_is_inevitable_from_the_start_is_said_below() -> None:
    assert body(explain(trace(RACE), inevitable=0))[-1] == "Every run ends like this."


def test_once_nothing_matters_any_more_operations_have_no_lines() -> None:
    script = "a + f\n a . write x 0 -> 1\n b . write x 1 -> 2\n a . write y 0 -> 1\n a - f"
    assert "y = 1" in diagram(trace(script))
    assert "y = 1" not in diagram(explain(trace(script), inevitable=2))
    assert "y = 1" in diagram(explain(trace(script), inevitable=2, waiting=("a",)))


def test_an_endless_round_is_marked_where_it_begins_and_ends() -> None:
    script = """
        a . write ready 0 -> 1
        a . write x 0 -> 1
        b . write x 1 -> 0
    """
    found = explain(trace(script), order((1, "a"), (2, "b")), cycle=1)
    assert_golden("for-ever", diagram(found))


def test_a_missed_wake_up_is_named_below() -> None:
    found = explain(trace(RACE), missed=(Missed("b", "a", 0, "wake_up"),))
    assert body(found)[-1] == "b misses wake_up() by a, the last wake-up."


def test_what_is_not_settled_is_said_below() -> None:
    found = explain(trace(RACE), unexplained="that takes more than 2.0 s or 256 MiB")
    said = "Which orders matter is not settled: that takes more than 2.0 s or 256 MiB."
    assert body(found)[-1] == said


@given(explained_traces(), st.integers(40, 100), st.sampled_from(["", " * ", "> > "]))
def test_any_explained_trace_fits(found: Trace, width: int, prefix: str) -> None:
    lines = diagram(found, width=width, prefix=prefix).splitlines()
    assert all(len(line) <= width for line in lines)
    assert all(line == line.rstrip() and line.isascii() for line in lines)
