"""Optimal DPOR: known numbers of traces, and an oracle that counts them the slow way."""

from __future__ import annotations

from itertools import pairwise
from math import factorial

import pytest
from bench import models
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from refault.explore import BLOCKED, Blocked, Cell, Program, UserError, atomic, check, choose
from refault.explore.engines._dpor import Dpor
from refault.explore.engines.exploration import Build, Exploration

slow = pytest.mark.slow


def run(build: Build) -> Dpor:
    """Run one execution of each trace, all of them."""
    dpor = Dpor(Exploration(build).tables.core, 10_000)
    assert dpor.run(max_traces=10**9, max_memory=1 << 32, seconds=600) == 0
    return dpor


KNOWN = [
    *(("readers", n, 2**n) for n in (2, 8, 13)),
    *(("lastzero", n, (n + 3) * 2 ** (n - 2)) for n in (2, 3, 4, 5, 8, 10, 12)),
    ("indexer", 12, 8),
    *(("filesystem", n, 2 ** (n - 13)) for n in (14, 16, 18, 19)),
    *(("counter", n, factorial(n) ** 2) for n in (2, 3, 4, 5)),
    *(("lastwrite", n, factorial(n)) for n in (2, 3, 4, 5, 6)),
    *(("lockn", n, factorial(n)) for n in (5, 6, 7, 8)),
    pytest.param("lastzero", 15, 147_456, marks=slow),
    pytest.param("indexer", 15, 4_096, marks=slow),
    pytest.param("filesystem", 22, 512, marks=slow),
]


@pytest.mark.parametrize(("name", "n", "traces"), KNOWN)
def test_each_trace_is_run_once(name: str, n: int, traces: int) -> None:
    """Published numbers (Nidhugg, GenMC) and closed forms; and no run is found redundant."""
    dpor = run(getattr(models, name)(n))
    assert dpor.traces == traces
    assert dpor.redundant == 0


@pytest.mark.parametrize("n", range(3, 9))
def test_philosophers_have_one_deadlock_among_their_traces(n: int) -> None:
    """Each pair of neighbours decides who eats first; if all grab left there is no meal."""
    dpor = run(models.philosophers(n))
    assert dpor.traces == 2**n - 1
    assert list(dpor.counts.values()) == [1]
    assert run(models.philosophers(n, swapped=True)).traces == 2**n - 2


def test_choices_multiply_the_traces() -> None:
    """A choice is explored each way in each trace of the rest."""

    def build(p: Program) -> None:
        x = p.cell("x", 0)
        for name in ("a", "b"):
            p.task(name, lambda: x.write(choose(1, 2, 3)))

    assert run(build).traces == 2 * 3 * 3


def test_a_waiter_is_overtaken_by_nobody_but_the_one_it_waits_for() -> None:
    """Blocking steps are first-class: of three events only one order is possible."""

    def full(v: int) -> tuple[int, None] | Blocked:
        return (v - 1, None) if v else BLOCKED

    def build(p: Program) -> None:
        x = p.cell("x", 0)
        p.task("producer", lambda: x.update(lambda v: (v + 1, None)))
        p.task("consumer", lambda: x.update(full))

    assert run(build).traces == 1


def test_an_endless_run_ends_the_search_and_says_what_to_use() -> None:
    def build(p: Program) -> None:
        x = p.cell("x", 0)

        def spin() -> None:
            while x.read() == 0:
                pass

        p.task("spin", spin)
        p.task("set", x.write, 1)

    verdict = check(build, engine="traces", max_history=20_000)
    assert verdict.kind == "inconclusive"
    assert "--engine states" in verdict.reason


def test_a_step_too_wide_for_it_ends_the_search_and_says_what_to_use() -> None:
    def build(p: Program) -> None:
        cells = [p.cell(f"c{i}", 0) for i in range(70)]

        def all_at_once() -> None:
            with atomic():
                for c in cells:
                    c.write(1)

        p.task("a", all_at_once)
        p.task("b", all_at_once)

    verdict = check(build, engine="traces")
    assert verdict.kind == "inconclusive"
    assert "--engine states" in verdict.reason
    check(build).assert_holds()


Step = tuple[str, int]
"""("r" or "w" or "+", cell): a read, a write of a fresh value, a read-modify-write."""

programs = st.lists(
    st.lists(st.tuples(st.sampled_from("rw+"), st.integers(0, 2)), min_size=1, max_size=3),
    min_size=2,
    max_size=3,
)


def program(tasks: list[list[Step]]) -> Build:
    """The program of some straight-line tasks."""

    def build(p: Program) -> None:
        cells: list[Cell[tuple[int, int]]] = [p.cell(f"c{i}", (-1, -1)) for i in range(3)]

        def body(t: int) -> None:
            for at, (kind, cell) in enumerate(tasks[t]):
                if kind == "r":
                    cells[cell].read()
                elif kind == "w":
                    cells[cell].write((t, at))
                else:
                    cells[cell].update(lambda v: (v, v))

        for t in range(len(tasks)):
            p.task(f"t{t}", body, t)

    return build


def count_traces(tasks: list[list[Step]]) -> int:
    """All interleavings, one by one; two are the same if each cell sees the same history.

    The history of a cell is the order of its writes, with the set of reads between two of them.
    """
    seen = set()

    def go(at: tuple[int, ...], history: list[list[frozenset[tuple[int, int]]]]) -> None:
        moved = False
        for t, steps in enumerate(tasks):
            if at[t] == len(steps):
                continue
            moved = True
            kind, cell = steps[at[t]]
            after = [list(h) for h in history]
            me = frozenset({(t, at[t])})
            if kind == "r" and after[cell] and len(after[cell]) % 2:
                after[cell][-1] |= me
            elif kind == "r":
                after[cell].append(me)
            else:
                if len(after[cell]) % 2 == 0:
                    after[cell].append(frozenset())
                after[cell].append(me)
            go((*at[:t], at[t] + 1, *at[t + 1 :]), after)
        if not moved:
            seen.add(tuple(tuple(h) for h in history))

    go((0,) * len(tasks), [[], [], []])
    return len(seen)


def test_the_oracle_can_count() -> None:
    assert count_traces([[("w", 0)], [("r", 0)], [("r", 0)]]) == 4
    assert count_traces([[("r", 0), ("w", 0)], [("r", 0), ("w", 0)]]) == 4
    assert [count_traces([[("w", 0)]] * n) for n in (1, 2, 3)] == [1, 2, 6]


@settings(
    max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck)
)
@given(programs)
def test_as_many_executions_as_traces(tasks: list[list[Step]]) -> None:
    """Neither one too few, which would be unsound, nor one too many, which would not be optimal."""
    dpor = run(program(tasks))
    assert (dpor.traces, dpor.redundant) == (count_traces(tasks), 0)


def test_evidence_says_which_engine_it_was() -> None:
    verdict = check(models.counter(3), engine="traces")
    verdict.assert_holds()
    assert (verdict.evidence.engine, verdict.evidence.traces) == ("traces", 36)
    assert verdict.evidence.reduction == "optimal DPOR"
    counts = [run(models.counter(n)).traces for n in (2, 3, 4)]
    assert all(b > 8 * a for a, b in pairwise(counts))


def test_more_tasks_than_a_mask_has_bits() -> None:
    """The engines that keep tasks in 64-bit masks say so; the search of states does not."""

    def build(p: Program) -> None:
        x = p.cell("x", 0)
        for i in range(65):
            p.task(f"t{i}", x.read)

    check(build, engine="states").assert_holds()
    with pytest.raises(UserError, match="at most 64 tasks"):
        check(build, engine="traces")
