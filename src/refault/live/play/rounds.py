"""Programs that race, ten thousand runs a second.

The memory of a program is mapped many times, and all threads have lists of what to do in one copy
after the other. Where somebody falls asleep the lists are stopped, and the run is finished as any
other, with its leisure: what follows is only done by who is awake, and looked at from outside.

What cannot be in a list is anything but loads, stores and system calls, a look at the middle of a
run, and memory that is not private and anonymous: such programs are left to ``Performance``.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from typing import NamedTuple

from refault.litmus.program import Outcome, Program, Step

from ..abi import Nr
from ..interrupts import Interrupts
from ..lists import BEGUN, DONE, Board, Entry
from ..puppet import Command, TimedOut
from .copies import Copies
from .looks import LOOKS
from .observe import SETTLE, SPIN, Performance, perform
from .operations import OPERATIONS, Started
from .record import NotListed, Written, at, write
from .stage import Stage

BATCH = 256
"""Runs for which lists are written."""

SCALES = (0, 300, 1000, 3000, 10000)
"""Each thread of a move is held back by at most one of these numbers of loops in a batch."""

INTERRUPTED, PERIODS = 0.25, (0, 12_000, 30_000)
"""Share of the batches in which threads are interrupted, and nanoseconds from one to the next.

What comes between two instructions of the kernel comes there if the timer does. It takes time.
"""

STALL = 0.005
"""Seconds without a step after which one looks if somebody sleeps."""


class _Run(NamedTuple):
    """A run in the lists: its stage, and for each step its thread, its move and its command."""

    stage: Stage
    steps: tuple[tuple[Step, int, Started, Entry], ...]


class _Taken(NamedTuple):
    """The step of a list at which its thread was found asleep; then the list ends."""

    written: Written
    rest: Command

    @property
    def done(self) -> bool:
        return self.written.done and self.rest.done

    def wait(self, _seconds: float = 0.0) -> int:
        return self.written.wait()


class Odds:
    """How long to hold threads back: at random, and every other time as it made runs differ most.

    Runs differ where the threads meet, so that is where to look for what is rare.
    """

    def __init__(self, program: Program, chance: random.Random) -> None:
        self.chance = chance
        self._threads = len({step.thread for step in program.steps if step.do in OPERATIONS})
        self._runs: Counter[tuple[int, ...]] = Counter()
        self._rare: Counter[tuple[int, ...]] = Counter()
        self._seen: Counter[Outcome] = Counter()

    def scales(self) -> tuple[int, ...]:
        """How long at most, for each thread."""
        if self._rare and self.chance.random() < 0.5:
            return max(self._rare, key=lambda scales: self._rare[scales] / self._runs[scales])
        return tuple(self.chance.choice(SCALES) for _ in range(self._threads))

    def learn(self, scales: tuple[int, ...], outcomes: list[Outcome]) -> None:
        """Note what came of it."""
        self._seen.update(outcomes)
        common = max(self._seen, key=lambda outcome: self._seen[outcome])
        self._runs[scales] += len(outcomes)
        self._rare[scales] += sum(outcome != common for outcome in outcomes)


class Rounds:
    """A stage, and lists for so many runs of its program."""

    def __init__(self, program: Program, size: int, odds: Odds, spin: float) -> None:
        self.program, self.size, self.odds, self.spin = program, size, odds, spin
        self.chance = odds.chance
        self.acts, self.looks = _split(program)
        self.copies = Copies(program, size)
        self.board = Board(self.copies.entries + (len(self.acts) + 1) * (size + 1))
        self.stage = Stage(program)
        try:
            self._write()
        except BaseException:
            self.stage.close()
            raise

    def _write(self) -> None:
        stage, size = self.stage, self.size
        self.copies.write(self.board, stage)
        stages = [at(stage, self.copies.addresses(n)) for n in range(size)]
        self.firsts: dict[str, Entry] = {}
        begun = {move: sum(m < move for _, m in self.acts) for _, move in self.acts}
        found: list[list[tuple[Step, int, Started, Entry]]] = [[] for _ in range(size)]
        for name in dict.fromkeys(step.thread for step, _ in self.acts):
            for n in range(size):
                for step, move in self.acts:
                    if step.thread == name:
                        after = n * len(self.acts) + begun[move]
                        started = write(self.board, stages[n], step, after)
                        assert isinstance(started.command, Written)
                        entry = started.command.entry
                        self.firsts.setdefault(name, entry)
                        found[n].append((step, move, started, entry))
            self.board.entry()
        self.runs = [_Run(*pair) for pair in zip(stages, map(tuple, found), strict=True)]
        self.racing = [(name, self._held(name)) for name in self.firsts]
        self.board.keep()
        self._pin()

    def _held(self, name: str) -> list[Entry]:
        """The first entries of a thread in moves that it shares with another."""
        held = []
        for move in {m for _, m in self.acts}:
            if len({s.thread for s, m in self.acts if m == move}) > 1:
                for run in self.runs:
                    own = [e for s, m, _, e in run.steps if (s.thread, m) == (name, move)]
                    held += own[:1]
        return held

    def _pin(self) -> None:
        """Give each thread a CPU, as far as there are some."""
        cpus = sorted(os.sched_getaffinity(0))
        for index, name in enumerate(self.firsts):
            thread = self.stage.thread(name)
            mask = (1 << cpus[index % len(cpus)]).to_bytes(128, "little")
            thread.call(Nr.SCHED_SETAFFINITY, 0, len(mask), thread.slot.room(mask))

    def _interrupt(self) -> list[Interrupts]:
        """Have threads interrupted in some of the batches, if that is allowed."""
        if self.chance.random() >= INTERRUPTED:
            return []
        periods = [(name, self.chance.choice(PERIODS)) for name in self.firsts]
        with suppress(OSError):
            return [Interrupts(self.stage.thread(n), period) for n, period in periods if period]
        return []

    def batch(self) -> list[Outcome]:
        """Do all runs, or those before somebody falls asleep, and that one."""
        self.board.reset()
        self.copies.map(self.board, self.stage)
        scales = self.odds.scales()
        for (_, entries), scale in zip(self.racing, scales, strict=True):
            for entry in entries if scale else ():
                entry.delay(int(self.chance.random() * scale))
        interrupts = self._interrupt()
        lists = {
            name: self.board.start(self.stage.thread(name), first)
            for name, first in self.firsts.items()
        }
        stalled = self._wait(lists)
        for one in interrupts:
            one.close()
        runs = self.board.done // len(self.acts) if stalled else self.size
        outcomes = [self._outcome(run) for run in self.runs[:runs]]
        if stalled:
            outcomes.append(self._finish(self.runs[runs], lists))
        if not self.stage.spoilt:
            self.copies.unmap(self.stage)
        self.odds.learn(scales, outcomes)
        return outcomes

    def _wait(self, lists: dict[str, Command]) -> bool:
        """Wait until all lists are done; tells whether somebody fell asleep before."""
        since, seen = time.monotonic(), -1
        while True:
            try:
                for command in lists.values():
                    command.wait(STALL)
                return False
            except TimedOut:
                done = self.board.done
            if done != seen:
                since, seen = time.monotonic(), done
            elif any(self._asleep(name, lists[name]) for name in lists):
                self.board.stop()
                return self._stopped(lists)
            elif time.monotonic() - since > SETTLE:
                raise TimedOut(f"no step in {SETTLE:g} s, and nobody sleeps")

    def _asleep(self, name: str, command: Command) -> bool:
        steps = self.runs[self.board.done // len(self.acts)].steps
        begun = any(e.state == BEGUN for s, _, _, e in steps if s.thread == name)
        return begun and not command.done and self.stage.thread(name).proc.state in "SD"

    def _stopped(self, lists: dict[str, Command]) -> bool:
        """Wait until nobody waits for a turn; tells whether somebody is still asleep."""
        deadline = time.monotonic() + SETTLE
        while not all(c.done or self._asleep(n, c) for n, c in lists.items()):
            if time.monotonic() > deadline:
                raise TimedOut("a list cannot be stopped")
            time.sleep(0.0005)
        return self.board.done < len(self.acts) * self.size

    def _outcome(self, run: _Run) -> Outcome:
        performance = Performance(run.stage, self.chance, self.spin)
        for step, _, started, entry in run.steps:
            performance.say(step, started.value(entry.result))
        self._look(performance, len(self.program.moves))
        return self.program.outcome(performance.values)

    def _look(self, performance: Performance, now: int) -> None:
        """Note what was to be seen before a move, when all were idle."""
        for step, move in self.looks:
            if move < now:
                performance.say(step, LOOKS[step.do](performance, step))

    def _finish(self, run: _Run, lists: dict[str, Command]) -> Outcome:
        """Go on with a run in which somebody sleeps, from the outside."""
        performance = Performance(run.stage, self.chance, self.spin)
        now = min(move for _, move, _, e in run.steps if e.state != DONE)
        self._look(performance, now)
        queues: dict[str, list[Step]] = {}
        for step, move, started, entry in run.steps:
            if entry.state == DONE:
                performance.say(step, started.value(entry.result))
            elif entry.state == BEGUN:
                assert isinstance(started.command, Written)
                taken = _Taken(started.command, lists[step.thread])
                performance.busy[step.thread] = step, started._replace(command=taken)
            elif move == now:
                queues.setdefault(step.thread, []).append(step)
        outcome = performance.go_on(now, queues)
        self.stage.spoilt = run.stage.spoilt
        return outcome

    def close(self) -> None:
        """End the stage."""
        self.stage.close()


def _split(program: Program) -> tuple[list[tuple[Step, int]], list[tuple[Step, int]]]:
    """The steps that go into lists, and the looks, with their moves.

    A look at a thread needs no looking while lists go on: all are idle. A look at a page can wait
    if nothing comes after it.
    """
    if program.blocking or not program.handshake or any("EVENT" in f for f in program.features):
        raise NotListed("a list is for a userfaultfd that does not wait for itself")
    steps = [(step, number) for number, move in enumerate(program.moves) for step in move]
    acts = [(step, move) for step, move in steps if step.do in OPERATIONS]
    looks = [(step, move) for step, move in steps if step.do not in OPERATIONS]
    last = max((move for _, move in acts), default=-1)
    for step, move in looks:
        if step.do != "status" and (step.do != "protection" or move < last):
            raise NotListed(f"a list has no {step.do}")
    return acts, looks


def observe(program: Program, runs: int, *, seed: int = 1, spin: float = SPIN) -> Counter[Outcome]:
    """Count the outcomes of so many runs; those of a program that races go by lists if they can."""
    found = Counter[Outcome]()
    if program.races:
        try:
            for outcomes in batches(program, runs, seed=seed, spin=spin):
                found.update(outcomes[: runs - found.total()])
            return found
        except NotListed:
            found.clear()
    found.update(perform(program, runs, seed=seed, spin=spin))
    return found


def batches(
    program: Program, runs: int, *, seed: int = 1, spin: float = SPIN
) -> Iterator[list[Outcome]]:
    """Yield outcomes of runs by lists, at least so many; ``NotListed`` if that cannot be."""
    odds, done = Odds(program, random.Random(seed)), 0
    with ExitStack() as stack:
        rounds: Rounds | None = None
        while done < runs:
            if rounds is None or rounds.stage.spoilt:
                stack.close()
                rounds = Rounds(program, min(BATCH, runs - done), odds, spin)
                stack.callback(rounds.close)
            outcomes = rounds.batch()
            done += len(outcomes)
            yield outcomes
