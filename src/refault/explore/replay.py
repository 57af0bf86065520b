"""Replay: run the real Python along a schedule and record everything.

The explorer sees only ints; whatever people read (function names, values, observations) comes
from here. What a task does between two operations belongs to the step of the first (what it
observed) up to the next function that it enters, which belongs to the step of the second.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, NamedTuple, TypeVar

from .cell import Cell
from .errors import ReplayDiverged
from .operation import Done, Failed, Op
from .program import Program, Task, View
from .runner import Finished, Request, Runner, Stop
from .trace import Event, EventKind, Finding, Trace, count_switches

T = TypeVar("T")


def text(value: object) -> str:
    """A value as a reader wants it: the name of an Enum, ``str`` of a model type, else ``repr``."""
    if isinstance(value, Enum):
        return value.name
    if type(value).__str__ is not object.__str__ and not isinstance(value, str):
        return str(value)
    return repr(value)


def broken_invariant(program: Program, view: View) -> Finding | None:
    """The first invariant that does not hold in a state."""
    for invariant in program.invariants:
        answer = invariant.predicate(view)
        if answer is not None and answer is not True:
            said = invariant.name if answer is False else f"{invariant.name}: {answer}"
            return Finding("invariant violation", said)
    return None


class _Pending(NamedTuple):
    kind: EventKind
    depth: int
    name: str
    result: str


class Actor(Runner):
    """A task under replay: what it does goes to the recorder."""

    def __init__(self, program: Program, task: Task) -> None:
        super().__init__(program, task)
        self.pending: list[_Pending] = []
        self.depth = 0
        self.stop: Stop = Finished()

    def enter(self, name: str) -> None:
        """Record the call of a traced function."""
        if name:
            self.pending.append(_Pending("enter", self.depth, name, ""))
            self.depth += 1

    def leave(self, name: str, result: Any) -> None:
        """Record its return."""
        if name:
            self.depth -= 1
            self.pending.append(_Pending("exit", self.depth, name, text(result)))

    def abandon(self, name: str) -> None:
        """Record that it was left by an exception."""
        if name:
            self.depth -= 1
            self.pending.append(_Pending("exit", self.depth, name, ""))

    def note(self, text: str) -> None:
        """Record an observation."""
        self.pending.append(_Pending("note", self.depth, text, ""))


class Replayer:
    """Holds the values of all cells and the runs of all tasks; takes one step at a time."""

    def __init__(self, build: Callable[[Program], object]) -> None:
        self._build = build
        self.program = program = Program()
        build(program)
        self.values = [0] * len(program.cells)
        self.events: list[Event] = []
        self.schedule: list[tuple[str, int]] = []
        self.failure: Finding | None = None
        self._number = 0
        self.actors = {t.name: Actor(program, t) for t in program.tasks}
        for actor in self.actors.values():
            actor.stop = actor.resume()
            if isinstance(actor.stop, Finding) and self.failure is None:
                self.failure = actor.stop

    def __getitem__(self, cell: Cell[T]) -> T:
        return cell.values[self.values[cell.index]]

    def done(self, task: str) -> bool:
        """Whether the task has returned."""
        return isinstance(self.actors[task].stop, Finished)

    def blocked(self) -> list[str]:
        """The tasks that have not returned."""
        return [n for n in self.actors if not self.done(n)]

    def pending(self, task: str) -> Op | None:
        """The next operation of the task."""
        stop = self.actors[task].stop
        return stop.op if isinstance(stop, Request) else None

    def enabled(self, task: str) -> bool:
        """Whether the task can take a step."""
        actor = self.actors[task]
        stop = actor.stop
        if not isinstance(stop, Request):
            return False
        if stop.op is None:
            return True
        if stop.op.outcome(self.values[stop.op.cell.index]) is None:
            return False
        return not actor.atomic or self._can_finish(task)

    def _can_finish(self, task: str) -> bool:
        """Whether no later operation of the atomic block that comes next is blocked.

        Python cannot be run backwards: a second replay tries it.
        """
        trial = Replayer(self._build)
        try:
            for name, choice in self.schedule:
                trial.step(name, choice)
            trial.step(task, 0)
        except ReplayDiverged:
            return False
        finally:
            trial.close()
        return True

    def step(self, task: str, choice: int) -> None:
        """Let ``task`` take one step."""
        actor = self.actors.get(task)
        self._number = len(self.schedule)
        if actor is None or not isinstance(actor.stop, Request):
            raise self._diverged(f"{task} has nothing to do there")
        self._flush(actor, everything=True)
        self.schedule.append((task, choice))
        while True:
            self._operate(actor, actor.stop, choice)
            self._flush(actor, everything=False)
            if not isinstance(actor.stop, Request) or not actor.stop.cont or self.failure:
                break
        if isinstance(actor.stop, Finding):
            self.failure = actor.stop
        if isinstance(actor.stop, Finished):
            self._flush(actor, everything=True)

    def _operate(self, actor: Actor, request: Request, choice: int) -> None:
        if request.op is None:
            if choice >= len(request.options):
                raise self._diverged(f"{actor.task_name} has no choice number {choice} there")
            actor.note(f"chooses {text(request.options[choice])}")
            actor.stop = actor.resume(request.options[choice])
            return
        op = request.op
        old = self.values[op.cell.index]
        outcome = op.outcome(old)
        if isinstance(outcome, Failed):
            self.failure = outcome.finding
            return
        if not isinstance(outcome, Done):
            raise self._diverged(f"{actor.task_name} cannot do {op} there")
        self.values[op.cell.index] = outcome.new
        self._record(actor, op, old, outcome)
        actor.stop = actor.resume(outcome.result)

    def _record(self, actor: Actor, op: Op, old: int, outcome: Done) -> None:
        values = op.cell.values
        self.events.append(
            Event(
                step=len(self.schedule) - 1,
                task=actor.task_name,
                kind="op",
                depth=actor.depth,
                name=op.name,
                cell=op.cell.name,
                old=text(values[old]),
                new=text(values[outcome.new]),
                result=text(outcome.result),
            )
        )

    def _flush(self, actor: Actor, *, everything: bool) -> None:
        """Record what the task did since its last operation, up to the next function it entered."""
        step = len(self.schedule) - (0 if everything else 1)
        taken = 0
        for p in actor.pending:
            if p.kind == "enter" and not everything:
                break
            taken += 1
            name = actor.task_name
            self.events.append(Event(step, name, p.kind, p.depth, p.name, result=p.result))
        del actor.pending[:taken]

    def _diverged(self, why: str) -> ReplayDiverged:
        return ReplayDiverged(
            self._number,
            f"the schedule does not fit the model at step {self._number}: {why}",
            "the model has changed since it was recorded: check the scenario again",
        )

    def verdict(self) -> Finding | None:
        """What is wrong with the present state."""
        if self.failure is not None:
            return self.failure
        broken = broken_invariant(self.program, self)
        if broken is not None or any(self.enabled(n) for n in self.actors):
            return broken
        return self.program.judge(self)

    def snapshot(self) -> tuple[Any, ...]:
        """What two equal states have in common: all values, and what each task wants next."""
        return (*self.values, *(repr(a.stop) for a in self.actors.values()))

    def finish(self, *, minimal: bool, finding: Finding | None = None, cycle: int = -1) -> Trace:
        """The trace so far; tasks that are stuck show what they had entered."""
        found = finding or self.verdict() or Finding("no finding")
        for actor in self.actors.values():
            if actor.pending and any(task == actor.task_name for task, _ in self.schedule):
                self._flush(actor, everything=True)
        schedule = tuple(self.schedule)
        return Trace(
            tasks=tuple(self.actors),
            schedule=schedule,
            events=tuple(self.events),
            finding=found,
            switches=count_switches(schedule),
            steps=len(schedule),
            minimal=minimal,
            cycle=cycle,
            waiting=tuple(self.blocked()),
        )

    def close(self) -> None:
        """Unwind all runs."""
        for actor in self.actors.values():
            actor.kill()


def replay(
    build: Callable[[Program], object],
    schedule: Iterable[tuple[str, int]],
    *,
    minimal: bool = False,
    cycle: int = -1,
    finding: Finding | None = None,
    expect: str | None = None,
) -> Trace:
    """Run ``schedule``, pairs of task and choice, through a freshly built program.

    From step ``cycle`` on, if given, the schedule must come back to where it was; ``finding`` is
    then what is wrong with that. Raises ``ReplayDiverged`` where the schedule does not fit, or
    does not end in a finding of kind ``expect``.
    """
    player = Replayer(build)
    try:
        start: tuple[Any, ...] | None = None
        for number, (task, choice) in enumerate(schedule):
            if number == cycle:
                start = player.snapshot()
            player.step(task, choice)
        if cycle >= 0 and start != player.snapshot():
            raise ReplayDiverged(
                cycle,
                f"the schedule does not come back to where it was at step {cycle}",
                "the model has changed since it was recorded: check the scenario again",
            )
        if cycle >= 0 and finding is None:
            finding = player.program.judge(player)
        trace = player.finish(minimal=minimal, finding=finding, cycle=cycle)
    finally:
        player.close()
    if expect is not None and trace.finding.kind != expect:
        raise ReplayDiverged(
            trace.steps,
            f"the schedule ends in {trace.finding.kind!r}, not in {expect!r}",
            "the model has changed since it was recorded: check the scenario again",
        )
    return trace
