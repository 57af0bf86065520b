"""Checks mutants, each in a process of its own, and compares their verdicts."""

from __future__ import annotations

import time as clock
from collections.abc import Iterator
from typing import Literal, NamedTuple

from ..engines import _core
from ..engines.exploration import Build, Exploration, Options
from ..engines.states import StateSearch
from ..errors import UserError
from ..memory import resident
from ..program import Program
from ..progress import Progress
from ..search import check
from ..verdict import Limits, Verdict
from .executed import Executed
from .forked import Lost, forked, processors
from .mutants import mutations
from .mutation import Hook, Mutation

Status = Literal["killed", "survived", "invalid", "undecided"]

MEMORY = 1 << 30
STATES = 5_000_000
"""A mutant may have so many states more than the original; it takes steps of its own."""
SHARE = 50
SLOWER = 10
"""A mutant gets this part of the time, and at least so many times what the original took."""


class Judged(NamedTuple):
    """What became of a mutant: the verdict, and why there is none or why it is what it is."""

    mutation: Mutation
    status: Status
    verdict: str
    reason: str


class _Answer(NamedTuple):
    """The part of a verdict that passes from process to process."""

    kinds: tuple[str, ...]
    verdict: str
    bound: str
    differed: bool | None
    error: str = ""


class Mutants:
    """The mutants of one program, and the verdict of the original.

    ``time`` bounds everything together. Where the original could not be explored completely
    there are no mutants, and ``explored`` is false.
    """

    def __init__(
        self,
        build: Build,
        *,
        time: float | None = None,
        jobs: int | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.build = build
        self._time = Limits().time if time is None else time
        self._deadline = clock.monotonic() + self._time
        self._jobs = processors() if jobs is None else jobs
        self.verdict = check(
            build, engine="states", explain=False, time=self._time, progress=progress
        )
        complete = self.verdict.kind != "inconclusive" and not self.verdict.evidence.bounds
        offered = _offered(build, self._left()) if complete else None
        self.explored = offered is not None
        self.mutations = offered or []

    def _left(self) -> float:
        return max(0.01, self._deadline - clock.monotonic())

    def judged(self) -> Iterator[Judged]:
        """Check all mutants; in the order of ``mutations``, whatever runs beside what."""
        seconds = max(1.0, self._time / SHARE, SLOWER * self.verdict.evidence.seconds)

        states = STATES + self.verdict.evidence.states

        def work(number: int) -> _Answer:
            return _check(self.build, self.mutations[number], states, min(seconds, self._left()))

        answers = forked(
            work,
            len(self.mutations),
            jobs=self._jobs,
            seconds=seconds,
            deadline=self._deadline,
        )
        done = 0
        for mutation, answer in zip(self.mutations, answers, strict=False):
            done += 1
            yield self._judge(mutation, answer)
        for mutation in self.mutations[done:]:
            yield Judged(mutation, "undecided", "", "the time is up: raise --time")

    def _judge(self, mutation: Mutation, answer: _Answer | Lost) -> Judged:
        if isinstance(answer, Lost):
            status: Status = "invalid" if answer.dead else "undecided"
            return Judged(mutation, status, "", answer.reason)
        if answer.error:
            return Judged(mutation, "invalid", "", answer.error)
        if answer.bound and set(answer.kinds) <= set(self.verdict.kinds):
            return Judged(mutation, "undecided", answer.verdict, answer.bound)
        if answer.verdict != verdict_text(self.verdict):
            return Judged(mutation, "killed", answer.verdict, "")
        reason = "it never sees anything new" if answer.differed is False else mutation.remark
        return Judged(mutation, "survived", answer.verdict, reason)


def verdict_text(verdict: Verdict) -> str:
    """A verdict in which only what was found matters, not what is easiest to reach."""
    return " + ".join(sorted(verdict.kinds)) or verdict.kind


def _offered(build: Build, seconds: float) -> list[Mutation] | None:
    """The mutations of what the tasks do in a complete exploration, if there is time for one."""
    exploration = Exploration(build)
    try:
        code = StateSearch(exploration, Limits(time=seconds), Options()).run(seconds)
        return mutations(Executed(exploration.tables)) if code == _core.COMPLETE else None
    finally:
        exploration.tables.close()


def _check(build: Build, mutation: Mutation, states: int, seconds: float) -> _Answer:
    """Check one mutant; whatever goes wrong is the mutant's."""
    hooks: list[Hook] = []

    def mutated(program: Program) -> None:
        build(program)
        program.mutation = hook = mutation.hook(program)
        hooks.append(hook)

    try:
        verdict = check(
            mutated,
            engine="states",
            explain=False,
            max_states=states,
            max_memory=resident() + MEMORY,
            time=seconds,
        )
    except UserError as error:
        return _Answer((), "", "", None, error.message)
    except Exception as error:
        return _Answer((), "", "", None, f"{type(error).__name__}: {error}")
    return _Answer(verdict.kinds, verdict_text(verdict), _bound(verdict), hooks[0].differed)


def _bound(verdict: Verdict) -> str:
    """The bound that was met, with what lifts it if that can be done here."""
    met = "; ".join(verdict.evidence.bounds)
    return met if met.endswith("--time") else met.partition(":")[0]
