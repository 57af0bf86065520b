"""A search of states by several processes, on one machine or many; any of them may be killed.

The coordinator has a set K of fingerprints and a queue of work units (see ``_crew.h``: a stack of
a depth-first search). A worker is given a unit, and what of K it has not been given before. It
goes on with the stack for a while and answers with the set F of all that it has added to its own
set, and with the stack that is left. The coordinator then, in one step, adds F to K and puts what
is left into the queue. If the worker is lost instead, its unit goes back into the queue.

*Nothing is lost.* At all times each successor of a state in K is in K, or will be met by a unit
that is queued or handed out. For let s be in F. The worker has tried all of its steps, or s is on
the stack that is left. A successor was new to the worker, and is in F; or it was in the worker's
set. Then it is in F as well, or it came from an earlier answer or from the coordinator, hence is
in K: a worker whose answer is not taken must forget. What another worker is doing at the same
time is never relied on. In the end no unit is left, so K is closed, and it holds the initial
state. Two workers may visit the same states before they hear of each other; that costs time, and
steps, terminal states and findings are counted twice, but K is the set that one process would
have.

*The reduction* takes a state's step alone that commutes with all that others have been seen to
do, by whomever. So with its answer a worker says what it has learned and what it took for solo.
If what all have learned together does not allow that, the answer is not taken and the unit done
again; if it does not allow what an earlier answer relied on, the search begins again, as it does
in one process.
"""

from __future__ import annotations

import time as clock
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from ..errors import UserError
from ..tables.exchange import Exchange, Record
from . import _core
from .exploration import Exploration, Stack
from .worker import Done, Unit, split

SLICE = 0.1
"""Seconds that a worker takes for one unit. Then the others hear of what it has seen."""


LOSSES = 3
"""So often in a row each worker may die."""


class Lost(Exception):
    """A worker has died."""


class Crew(Protocol):
    """Where the workers are."""

    size: int

    def put(self, data: bytes, /) -> Any:
        """Keep bytes where all workers can get them; returns what their ``fetch`` takes."""

    def submit(self, worker: int, unit: Unit, /) -> None:
        """Have a worker do a unit; replaces one that is lost."""

    def wait(self, seconds: float, /) -> list[int]:
        """The workers that are done, or lost, after at most so long."""

    def answer(self, worker: int, /) -> Done:
        """What a worker that is done has to say; raises ``Lost``."""

    def abandon(self) -> None:
        """Nobody wants to hear what the workers are doing now."""


class Restart(Exception):
    """An assumption that an answer relied on broke."""


class ClusterSearch:
    """The coordinator; ``search`` is as that of the core."""

    def __init__(self, exploration: Exploration, crew: Crew) -> None:
        self._ex = exploration
        self._core = exploration.tables.core
        self._crew = crew
        self._exchange = Exchange(exploration.tables)
        self._pieces: list[Any] = []
        self._records: list[Record] = []
        self._given: list[tuple[int, int]] = [(0, 0)] * crew.size
        self._doing: dict[int, Stack] = {}
        self._queue: deque[Stack] = deque()
        self._relied: frozenset[int] = frozenset()
        self._losses = 0

    def search(
        self,
        *,
        reduce: bool,
        resume: bool,
        max_states: int,
        max_memory: int,
        seconds: float,
        terminal_sink: Callable[[list[int], list[int]], object] | None = None,
        tick: Callable[[int, int, int], object] | None = None,
    ) -> int:
        """Go on with what is left to do in the core, and leave there what is left then."""
        deadline = clock.monotonic() + seconds
        if not resume:
            # Only a first look: it makes the initial state, and a unit of it.
            code = self._core.search(
                reduce=reduce,
                resume=False,
                max_states=max_states,
                max_memory=max_memory,
                seconds=0.0,
                terminal_sink=terminal_sink,
            )
            if code != _core.LIMIT_TIME:
                return code
        self._begin(reduce)
        try:
            while self._queue or self._doing:
                self._hand_out(reduce, terminal_sink is not None, max_states, max_memory)
                for worker in self._crew.wait(0.1):
                    code = self._hear(worker, reduce)
                    if code != _core.COMPLETE:
                        return code
                code = self._look(deadline, max_states, max_memory, tick)
                if code != _core.COMPLETE:
                    return code
        except Restart:
            self._queue.clear()
            self._doing.clear()
            return _core.RESTART
        finally:
            self._leave()
        return _core.COMPLETE

    def _begin(self, reduce: bool) -> None:
        self._crew.abandon()
        self._queue = deque(
            piece
            for stack in self._core.save()["stacks"]
            for piece in split(stack, self._core.ntask, 4 * self._crew.size)
        )
        self._pieces = [self._crew.put(self._core.fingerprints())]
        self._records += self._exchange.news()
        self._given = [(0, 0)] * self._crew.size
        self._relied = self._exchange.solo() if reduce else frozenset()

    def _leave(self) -> None:
        """What has been handed out and not answered is still to be done."""
        self._core.take_up([*self._doing.values(), *self._queue])
        self._doing.clear()
        self._queue.clear()

    def _hand_out(self, reduce: bool, keep_final: bool, max_states: int, max_memory: int) -> None:
        for worker in range(self._crew.size):
            if worker in self._doing or not self._queue:
                continue
            stack = self._queue.popleft()
            pieces, records = self._given[worker]
            unit = Unit(
                stack=stack,
                order=worker % 256,
                anew=pieces == 0,
                known=tuple(self._pieces[pieces:]),
                records=self._records[records:],
                observed=self._exchange.observed(),
                reduce=reduce,
                keep_final=keep_final,
                seconds=SLICE,
                max_states=max_states,
                max_memory=max_memory,
            )
            self._doing[worker] = stack
            self._given[worker] = len(self._pieces), len(self._records)
            self._crew.submit(worker, unit)

    def _hear(self, worker: int, reduce: bool) -> int:
        """Take an answer; a code of the core if the search cannot go on."""
        records = self._given[worker][1]
        try:
            done = self._crew.answer(worker)
        except Lost as e:
            self._lost(e)
            self._again(worker, 0)
            return _core.COMPLETE
        self._losses = 0
        if not self._learned(done, reduce):
            self._again(worker, records)
            return _core.COMPLETE
        del self._doing[worker]
        self._take(done)
        return done.code if done.code == _core.LIMIT_MEMORY else _core.COMPLETE

    def _again(self, worker: int, records: int) -> None:
        """Its unit is to be done once more; the worker knows no state, and so many records."""
        self._queue.appendleft(self._doing.pop(worker))
        self._given[worker] = (0, records)

    def _lost(self, error: Lost) -> None:
        self._losses += 1
        if self._losses > LOSSES * self._crew.size:
            raise UserError(f"the workers die one after another: {error}", "search without them")

    def _learned(self, done: Done, reduce: bool) -> bool:
        """Add what a worker has learned to the tables; whether its answer holds with all of it."""
        self._exchange.adopt(done.records, done.observed)
        self._records += self._exchange.news()
        if not reduce:
            return True
        solo = self._exchange.solo()
        if self._relied - solo:
            raise Restart
        if done.broken or done.solo - solo:
            return False
        self._relied |= done.solo
        return True

    def _take(self, done: Done) -> None:
        new = self._core.learn(done.fresh)
        self._core.account(new, done.transitions, done.terminals, done.depth)
        self._pieces.append(self._crew.put(done.fresh))
        for finding, count, path in done.found:
            self._core.found(self._ex.number(finding), count, path)
        self._ex.final |= done.final
        self._ex.program.reached |= done.reached
        self._queue_up(done.rest)

    def _queue_up(self, stacks: Iterable[Stack]) -> None:
        """What is left of a unit is cut where workers would have nothing to do."""
        wanted = max(1, 2 * self._crew.size - len(self._queue))
        for stack in stacks:
            self._queue.extend(split(stack, self._core.ntask, wanted))

    def _look(
        self,
        deadline: float,
        max_states: int,
        max_memory: int,
        tick: Callable[[int, int, int], object] | None,
    ) -> int:
        core = self._core
        if tick is not None and tick(core.states, core.transitions, core.deepest) is True:
            return _core.PAUSED
        if not self._queue and not self._doing:
            return _core.COMPLETE
        if clock.monotonic() > deadline:
            return _core.LIMIT_TIME
        if core.states >= max_states:
            return _core.LIMIT_STATES
        return _core.LIMIT_MEMORY if 16 * core.states > max_memory else _core.COMPLETE
