"""Performing a program on the running kernel, again and again.

A move begins when all threads have settled: each has ended its command, or is asleep in it, or has
been running for so long that it must be spinning, or is dead. Where several threads are in one
move they start at a gate that opens for all at once, each with a delay of its own that differs
from run to run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from contextlib import ExitStack

from refault.litmus.program import (
    DEAD,
    IDLE,
    MISSED,
    MONITOR,
    SPINS,
    UNBORN,
    WAITS,
    Outcome,
    Program,
    Step,
)

from ..puppet import TimedOut
from .looks import LOOKS
from .operations import OPEN, OPERATIONS, Gate, Started
from .stage import Stage

SETTLE = 20.0
"""Seconds after which a thread that has not settled is an error."""
SPIN = 0.05
"""Seconds on a CPU, in the kernel, after which a thread is said to spin."""
DELAYS = (0, 0, 100, 300, 1000, 3000)
"""Loops that threads of one move are held back by, one of these each."""


RENAMED = {"userfaultfd_read": "userfaultfd_read_iter"}
"""What functions that may be seen on a stack are called since some version."""


def _today(function: str) -> str:
    return RENAMED.get(function, function)


class Performance:
    """One run of a program on a stage."""

    def __init__(self, stage: Stage, chance: random.Random, spin: float = SPIN) -> None:
        self.stage = stage
        self.chance = chance
        self.spin = spin
        self.values: dict[str, str] = {}
        self.busy: dict[str, tuple[Step, Started]] = {}
        self.ran: dict[str, float] = {}
        names = (*(t.name for t in stage.program.threads), MONITOR)
        self.status = {name: IDLE if stage.born(name) else UNBORN for name in names}

    def run(self) -> Outcome:
        """Make all moves, and return what was seen."""
        return self.go_on(-1, {})

    def go_on(self, move: int, queues: dict[str, list[Step]]) -> Outcome:
        """Let a move be over, with what is left to do in it, and make those after it."""
        if move >= 0:
            self._settle(queues)
        for steps in self.stage.program.moves[move + 1 :]:
            self._move(steps)
        for name in self.status:
            self._collect(name)
        if self.busy or self.dead:
            self.stage.spoilt = True
        return self.stage.program.outcome(self.values)

    @property
    def dead(self) -> bool:
        """Whether somebody was killed."""
        return DEAD in self.status.values()

    def _move(self, move: tuple[Step, ...]) -> None:
        queues: dict[str, list[Step]] = {}
        for step in move:
            queues.setdefault(step.thread, []).append(step)
        for name in list(queues):
            if self.status[name] != IDLE:
                for step in queues.pop(name):
                    self.say(step, MISSED)
        together = len(queues) > 1
        if together:
            self.stage.puppet.close_gate()
        for steps in queues.values():
            gate = Gate(True, self.chance.choice(DELAYS)) if together else OPEN
            self._start(steps.pop(0), gate)
        if together:
            self.stage.puppet.open_gate()
        self._settle(queues)

    def say(self, step: Step, value: str) -> None:
        """Note the value of a step."""
        if step.label:
            self.values[step.label] = value

    def _start(self, step: Step, gate: Gate) -> None:
        if step.do in LOOKS:
            self.say(step, LOOKS[step.do](self, step))
            return
        self.busy[step.thread] = step, OPERATIONS[step.do](self.stage, step, gate)

    def _collect(self, name: str) -> bool:
        """Take the value of a step that has ended; tells whether the thread is free."""
        if name not in self.busy:
            return True
        step, started = self.busy[name]
        if not started.command.done:
            return False
        self.say(step, started.value(started.command.wait(0)))
        del self.busy[name]
        return True

    def _settle(self, queues: dict[str, list[Step]]) -> None:
        """Wait until everybody has settled, giving threads what they have left to do."""
        began = time.monotonic()
        self.ran.clear()
        while True:
            for name in self.status:
                while self._collect(name) and queues.get(name):
                    self._start(queues[name].pop(0), OPEN)
                self.status[name] = self._look(name, time.monotonic() - began)
            if all(self.status.values()):
                # Whoever was looked at first may have been woken since.
                again = {n: self._look(n, time.monotonic() - began) for n in self.status}
                if again == self.status and not any(map(queues.get, self.status)):
                    return
            if time.monotonic() - began > SETTLE:
                odd = ", ".join(n for n, s in self.status.items() if not s)
                raise TimedOut(f"{odd} has not settled after {SETTLE:g} s")

    def _look(self, name: str, seconds: float) -> str:
        """What a thread does; empty if it is on its way."""
        if not self.stage.born(name):
            return UNBORN
        if name != MONITOR and self.stage.thread(name).ended is not None:
            return DEAD
        if name not in self.busy:
            return IDLE
        if self.busy[name][1].command.done:
            return ""
        state, stack = self._wait(name, max(0.0, self.spin - seconds))
        if state in ("Z", "X"):
            return ""  # its process is still on its way, and so is its memory
        if state == "R":
            return SPINS if self._has_run(name) > self.spin else ""
        where = next((name for name in map(_today, stack) if name in WAITS), "")
        return f"{state} {where}".strip()

    def _has_run(self, name: str) -> float:
        """Seconds of a CPU that a thread has had since it was first asked in this move.

        A machine that has other things to do may keep a thread waiting for longer than any spin.
        """
        try:
            now = self.stage.thread(name).proc.cpu_seconds
        except (FileNotFoundError, ProcessLookupError):  # it has just died
            return 0.0
        return now - self.ran.setdefault(name, now)

    def _wait(self, name: str, seconds: float) -> tuple[str, tuple[str, ...]]:
        """Wait for one thread to end its command, to sleep, or to have run for so long."""
        settled = self.stage.thread(name).settled(seconds)
        return settled.state, settled.stack


def perform(program: Program, runs: int, *, seed: int = 1, spin: float = SPIN) -> Iterator[Outcome]:
    """Yield the outcomes of so many runs; ``Unavailable`` where the machine cannot do it."""
    chance = random.Random(seed)
    with ExitStack() as stack:
        stage: Stage | None = None
        for _ in range(runs):
            if stage is None or stage.spoilt:
                stack.close()
                stage = stack.enter_context(Stage(program))
            else:
                stage.renew()
            yield Performance(stage, chance, spin).run()
