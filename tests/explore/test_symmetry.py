"""Identical tasks: fewer states, the same endings, and no false declaration is believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from bench import fifo, models
from bench.mutex import Mutex, holders, lock, unlock
from tests.explore.agreement import FUTURES, PLAIN, REDUCED

from refault.explore import Finding, ModelError, Program, View, check, current_task


@pytest.mark.parametrize("search", [REDUCED, FUTURES], ids=["reduced", "futures"])
@pytest.mark.parametrize("wake", [True, False])
def test_who_faults_first_does_not_matter(search: dict[str, Any], wake: bool) -> None:
    """Three faulters: the ends are the same six times over, the states are few."""
    plain = check(fifo.fifo(3, wake), **PLAIN, keep_terminals=True)
    one = check(fifo.fifo(3, wake, symmetric=False), **search, keep_terminals=True)
    all_ = check(fifo.fifo(3, wake), **search, keep_terminals=True)
    assert all_.kinds == one.kinds == plain.kinds
    assert all_.terminals == one.terminals == plain.terminals
    assert all_.evidence.states < one.evidence.states / 4
    assert "symmetry of faulter0 faulter1 faulter2" in all_.evidence.reduction
    assert plain.evidence.reduction == "none"
    for a, b in zip(all_.findings, plain.findings, strict=True):
        assert a[1] is not None
        assert b[1] is not None
        assert (a[1].switches, a[1].steps) == (b[1].switches, b[1].steps)


def counters(n: int, declare: Callable[..., object]) -> Callable[[Program], None]:
    """Each task takes a number for a cell of its own."""

    def build(p: Program) -> None:
        x = p.cell("x", 0)
        own = [p.cell(f"mine{i}", -1) for i in range(n)]

        def take(i: int) -> None:
            seen = x.read()
            own[i].write(seen)
            x.write(seen + 1)

        tasks = [p.task(f"t{i}", take, i) for i in range(n)]
        declare(p, tasks, own)

    return build


def identical(p: Program, tasks: list[Any], own: list[Any]) -> None:
    p.identical(*tasks, own=[[cell] for cell in own])


def test_all_permutations_of_the_ends_are_ends() -> None:
    plain = check(counters(4, identical), **PLAIN, keep_terminals=True)
    reduced = check(counters(4, identical), **REDUCED, keep_terminals=True)
    assert reduced.terminals == plain.terminals
    assert 24 * reduced.evidence.states < 3 * plain.evidence.states


def test_of_a_large_group_a_part_is_permuted() -> None:
    """120 permutations at most: five of the seven."""
    verdict = check(counters(7, identical), **REDUCED)
    verdict.assert_holds()
    assert verdict.evidence.reduction.endswith("symmetry of t0 t1 t2 t3 t4")


def refused(build: Callable[[Program], Any], match: str) -> None:
    with pytest.raises(ModelError, match=match) as caught:
        check(build, **REDUCED)
    assert "identical" in str(caught.value)
    check(build, **PLAIN, explain=False)


def test_a_cell_that_is_forgotten_is_noticed() -> None:
    """Each writes a cell of its own, which the declaration leaves out."""
    refused(counters(2, lambda p, tasks, _own: p.identical(*tasks)), "does mine. where|mine")


def test_philosophers_are_not_identical() -> None:
    """They may go round the table, but not change places at will."""

    def build(p: Program) -> None:
        models.philosophers(3)(p)
        p.identical(*p.tasks, own=[[cell] for cell in p.cells[:3]])

    refused(build, "fork")


def test_who_is_served_first_must_not_depend_on_who_it_is() -> None:
    """The monitor reads the message of the faulter with the lowest number."""

    def build(p: Program) -> None:
        models.uffd(2)(p)
        sleeping = [c for c in p.cells if c.name.startswith("sleeping")]
        p.identical(*p.tasks[:2], own=[[c] for c in sleeping])

    refused(build, "matters who is who|another")


def test_the_beginning_must_be_symmetric() -> None:
    def build(p: Program) -> None:
        cells = [p.cell("a", 0), p.cell("b", 1)]
        tasks = [p.task(f"t{i}", c.read) for i, c in enumerate(cells)]
        p.identical(*tasks, own=[[c] for c in cells])

    refused(build, "a does not begin as b does")


def test_a_task_that_does_something_else_is_noticed() -> None:
    def build(p: Program) -> None:
        x = p.cell("x", 0)
        p.identical(p.task("reader", x.read), p.task("writer", x.write, 1))

    refused(build, "it matters who is who")


def test_the_judgement_must_be_symmetric() -> None:
    """It calls it wrong if t0 draws the second number, and nothing if t1 does."""

    def build(p: Program) -> None:
        counters(2, identical)(p)
        mine = p.cells[1]
        p.at_end(lambda view: Finding("unfair", "t0 is late") if view[mine] == 1 else None)

    with pytest.raises(ModelError, match=r"identical tasks: at_end.. tells them apart"):
        check(build, **REDUCED)
    check(build, **PLAIN).assert_finds("unfair")


def test_an_invariant_must_be_symmetric() -> None:
    def build(p: Program) -> None:
        counters(2, identical)(p)
        mine = p.cells[1]
        p.invariant("t0 is first", lambda view: view[mine] != 1)

    with pytest.raises(ModelError, match="invariant 't0 is first' tells them apart"):
        check(build, **REDUCED)
    check(build, **PLAIN).assert_finds("invariant violation")


def test_a_judgement_may_look_at_who_holds_what() -> None:
    """A judge sees the image of a state as it sees a state: values, ends, operations."""

    def build(p: Program) -> None:
        mutex: Mutex = p.cell("mutex", None, holders=holders)
        last = p.cell("last", "")

        def work() -> None:
            lock(mutex)
            last.write(current_task())
            unlock(mutex)

        def keep() -> None:
            lock(mutex)

        tasks = [p.task(f"t{i}", work) for i in range(2)]
        p.task("keeper", keep)
        p.identical(*tasks)

        def judge(view: View) -> Finding | None:
            left = view.blocked()
            if not left:
                return None
            assert str(view.pending(left[0])) == "mutex._lock" or view.pending(left[0]) is not None
            assert view[mutex] == "keeper"
            assert view[last] not in left
            return Finding("kept out", ", ".join(left))

        p.at_end(judge)

    for search in (PLAIN, REDUCED, FUTURES):
        check(build, **search).assert_finds("kept out")


@pytest.mark.parametrize(
    ("declare", "match"),
    [
        (lambda p, t: p.identical(t[0]), "takes two tasks or more"),
        (lambda p, t: p.identical(*t, own=[[p.cells[0]]]), "takes two tasks or more"),
        (lambda p, t: p.identical(*t, own=[[p.cells[0]], []]), "as many cells and names"),
        (lambda p, t: (p.identical(*t), p.identical(*t)), "are declared once"),
    ],
)
def test_a_declaration_that_makes_no_sense(declare: Callable[..., Any], match: str) -> None:
    def build(p: Program) -> None:
        x = p.cell("x", 0)
        declare(p, [p.task(f"t{i}", x.read) for i in range(2)])

    with pytest.raises(ModelError, match=match):
        check(build)
