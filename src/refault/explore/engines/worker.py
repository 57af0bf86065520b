"""A worker of a search by several processes: takes a work unit, says what it has seen.

What a worker is given and what it answers is plain data that means the same in every process:
schedules, fingerprints, keys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..tables.exchange import Exchange, Record
from ..trace import Finding
from .exploration import Build, Exploration, Frame, Path, Stack

SOLO = 1
"""The bit of a frame that says that its state is expanded for one task alone."""


class Unit(NamedTuple):
    """A piece of work: a stack to go on with, and what the worker must know before.

    ``known`` are pieces of fingerprints, in the form that the place of the worker takes them;
    ``anew`` says to forget all others. ``records`` and ``observed`` are of ``Exchange``. Workers
    with different ``order`` go different ways.
    """

    stack: Stack
    order: int
    anew: bool
    known: tuple[Any, ...]
    records: list[Record]
    observed: frozenset[int]
    reduce: bool
    keep_final: bool
    seconds: float
    max_states: int
    max_memory: int


class Done(NamedTuple):
    """What came of a unit: all fingerprints that were new to the worker, and what is left to do.

    ``solo`` is what the worker took for solo, ``broken`` tells that it had to give some of it up.
    """

    code: int
    fresh: bytes
    rest: list[Stack]
    found: list[tuple[Finding, int, Path]]
    states: int
    transitions: int
    terminals: int
    depth: int
    records: list[Record]
    observed: frozenset[int]
    solo: frozenset[int]
    broken: bool
    final: frozenset[Any]
    reached: frozenset[str]


class Worker:
    """The tables and the set of fingerprints of one worker; ``fetch`` gets a piece of them."""

    def __init__(self, build: Build, fetch: Callable[[Any], bytes] = bytes) -> None:
        self._ex = Exploration(build)
        self._exchange = Exchange(self._ex.tables)
        self._fetch = fetch
        self._ex.tables.core.serve()

    def work(self, unit: Unit) -> Done:
        """Visit what is left at the stack for some seconds."""
        core = self._ex.tables.core
        if unit.anew:
            core.serve()
        self._exchange.adopt(unit.records, unit.observed)
        self._exchange.skip()
        for piece in unit.known:
            core.learn(self._fetch(piece))
        core.turn_to(unit.stack, unit.order)
        self._ex.final.clear()
        code = core.search(
            reduce=unit.reduce,
            resume=True,
            max_states=unit.max_states,
            max_memory=unit.max_memory,
            seconds=unit.seconds,
            terminal_sink=self._ex.keep if unit.keep_final else None,
        )
        saved = core.save()
        findings = self._ex.tables.findings
        return Done(
            code=code,
            fresh=core.fresh(),
            rest=saved["stacks"],
            found=[(findings[n], count, core.paths[n]) for n, count in core.counts.items()],
            states=core.states,
            transitions=core.transitions,
            terminals=core.terminals,
            depth=core.deepest,
            records=self._exchange.news(),
            observed=self._exchange.observed(),
            solo=self._exchange.solo() if unit.reduce else frozenset(),
            broken=saved["withdrawn"],
            final=frozenset(self._ex.final),
            reached=frozenset(self._ex.program.reached),
        )


def split(stack: Stack, tasks: int, pieces: int) -> list[Stack]:
    """At most so many stacks that together have left to do what ``stack`` has; the last is deepest.

    Each takes what is left at one state over from it, the shallowest first.
    """
    rest = list(stack)
    out: list[Stack] = []
    for i, frame in enumerate(stack[:-1]):
        if len(out) + 1 >= pieces:
            break
        if frame[1] < tasks and not frame[-1] & SOLO:
            out.append([*_exhausted(stack[:i], tasks), frame])
            rest[i : i + 1] = _exhausted([frame], tasks)
    return [*out, rest]


def _exhausted(frames: Iterable[Frame], tasks: int) -> Stack:
    return [(fp, tasks, 0, *others) for fp, _task, _choice, *others in frames]  # type: ignore[misc]
