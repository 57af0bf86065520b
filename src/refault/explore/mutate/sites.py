"""What the tasks of a program execute, and from where: the places at which mutations are made.

After a search the behaviour tables hold every local history of every task. Each is run once more,
without any interleaving, and what it asks for is noted with the functions that it was asked from.

People drop lines of *their* function, not of the accessors that it calls: ``spin_lock(ptl)`` goes
in ``wp_page_copy()``, not in ``spin_lock()``. So a place is a chain of calls, from the operation
outwards up to the function that it belongs to:

* for a lock, the function in which it is both taken and given back again (helpers that return
  with the lock held own nothing);
* for everything else, the innermost function that ever does more than one step in a call.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from collections import defaultdict
from collections.abc import Hashable, Iterator
from pathlib import Path
from types import CodeType, FrameType, FunctionType
from typing import Any, NamedTuple, cast

from ..operation import Op
from ..program import Performer, Program, Task
from ..runner import Request, Runner
from ..runtime import scoped
from ..tables.behaviour import Tables

MAX_STEPS = 1_000_000
"""Operations of all histories together; the rest of a larger model goes unlooked at."""

Function = tuple[str, int]
_OWN = str(Path(__file__).parents[1]) + os.sep
_SCOPE = cast("FunctionType", scoped(os.getpid, "")).__code__
_MAIN = Runner._main.__code__


class Call(NamedTuple):
    """A function on the stack of a task: its file and first line, and where it is (``at``).

    ``scope`` says that its history is dropped when it returns.
    """

    name: str
    file: str
    first: int
    at: int
    line: int
    scope: bool

    @property
    def function(self) -> Function:
        """What tells this function from all others."""
        return self.file, self.first


Chain = tuple[Call, ...]
"""Calls, the innermost one first."""


@functools.cache
def _foreign(code: CodeType) -> bool:
    return code.co_filename.startswith(_OWN) or code.co_filename == contextlib.__file__


class Frame(NamedTuple):
    """A function of the model that is running, with the name it goes by."""

    name: str
    frame: FrameType
    scope: bool = False

    @property
    def call(self) -> Call:
        """What there is to know of it."""
        code = self.frame.f_code
        at, line = self.frame.f_lasti, self.frame.f_lineno
        return Call(self.name, code.co_filename, code.co_firstlineno, at, line, self.scope)


def frames(frame: FrameType | None) -> list[Frame]:
    """The functions of the model on the stack, the innermost one first.

    A scope has the name of the function that it was put around. Where that is itself a wrapper
    of another, made by a decorator of the model, the wrapper is left out. A task that is no more
    than an operation has that for its function.
    """
    found: list[Frame] = []
    start = 0
    outermost = frame
    while frame is not None and frame.f_code is not _MAIN:
        if frame.f_code is _SCOPE:
            fn = frame.f_locals["fn"]
            if hasattr(fn, "__wrapped__") and len(found) > start + 1:
                found.pop()
            if len(found) > start:
                found[-1] = Frame(fn.__name__, found[-1].frame, True)
            start = len(found)
        elif not _foreign(frame.f_code):
            found.append(Frame(frame.f_code.co_name, frame))
        outermost, frame = frame, frame.f_back
    if not found and outermost is not None:
        found.append(Frame(outermost.f_code.co_name, outermost))
    return found


class Step:
    """An operation that a history asks for.

    ``activations`` numbers the calls of ``chain``, so that two calls of one function differ;
    ``block`` is the number of the atomic block, 0 outside.
    """

    __slots__ = ("activations", "block", "chain", "op", "result")

    def __init__(self, op: Op, chain: Chain, activations: tuple[int, ...], block: int) -> None:
        self.op = op
        self.chain = chain
        self.activations = activations
        self.block = block
        self.result: Any = None


class Recorder:
    """Stands where a mutation would, changes nothing, and notes everything."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.blocks: list[Chain] = [()]
        self.restarts: list[tuple[int, int]] = []
        self._activations: dict[FrameType, int] = {}

    def _number(self, frame: FrameType) -> int:
        return self._activations.setdefault(frame, len(self._activations))

    def perform(self, run: Performer, op: Op) -> Any:
        """Note an operation and do it."""
        found = frames(sys._getframe(1))
        numbers = tuple(self._number(f.frame) for f in found)
        block = len(self.blocks) - 1 if run.atomic else 0
        step = Step(op, tuple(f.call for f in found), numbers, block)
        self.steps.append(step)
        step.result = run.ask(op)
        return step.result

    def restart(self) -> None:
        """Note the next round of a loop: how many steps came before, and in which call it is."""
        self.restarts.append((len(self.steps), self._number(frames(sys._getframe(1))[0].frame)))

    def splits(self, run: Performer) -> bool:
        """Note an atomic block."""
        if not run.atomic:
            self.blocks.append(tuple(f.call for f in frames(sys._getframe(1))))
        return False

    def finish(self, run: Performer) -> None:
        """Nothing is left to do at the end of a task."""


class _Run(Runner):
    def __init__(self, program: Program, task: Task, recorder: Recorder) -> None:
        super().__init__(program, task)
        self._recorder = recorder

    def restart(self, site: Hashable, state: tuple[Any, ...]) -> None:
        self._recorder.restart()


def recorded(tables: Tables) -> Iterator[tuple[Task, Recorder]]:
    """Run histories until every entry of the tables has been seen."""
    program = tables.program
    total = 0
    try:
        for task, results in Histories(tables):
            program.mutation = recorder = Recorder()
            run = _Run(program, task, recorder)
            stop = run.resume()
            for result in results:
                if not isinstance(stop, Request):
                    break
                stop = run.resume(result)
            run.kill()
            yield task, recorder
            total += len(recorder.steps)
            if total > MAX_STEPS:
                return
    finally:
        program.mutation = None


class Histories:
    """Histories of results, from the start of a task, that together take every edge."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._after: dict[int, list[tuple[Any, int]]] = defaultdict(list)
        for (node, typed_result), following in tables.successors.items():
            self._after[node].append((cast("tuple[type, Any]", typed_result)[1], following))
        self._taken: set[tuple[int, int]] = set()

    def __iter__(self) -> Iterator[tuple[Task, list[Any]]]:
        for number, node in enumerate(self._tables.nodes):
            if node.parent < 0 and isinstance(node.request, Request):
                yield node.task, self._onwards(number)
        for number in range(len(self._tables.nodes)):
            for edge in range(len(self._after.get(number, ()))):
                if (number, edge) not in self._taken:
                    before = self._up_to(number)
                    yield self._tables.nodes[number].task, before + self._onwards(number, edge)

    def _up_to(self, node: int) -> list[Any]:
        nodes = self._tables.nodes
        results: list[Any] = []
        while nodes[node].parent >= 0:
            results.append(nodes[node].result)
            node = nodes[node].parent
        return results[::-1]

    def _onwards(self, node: int, edge: int | None = None) -> list[Any]:
        """Go on from a node: by edges not taken yet, else to nodes not seen on this way."""
        results: list[Any] = []
        seen: set[int] = set()
        while True:
            seen.add(node)
            edges = self._after.get(node, [])
            fresh = [e for e in range(len(edges)) if (node, e) not in self._taken]
            known = [e for e in range(len(edges)) if edges[e][1] not in seen]
            if edge is None:
                edge = next(iter(fresh or known), None)
            if edge is None:
                return results
            self._taken.add((node, edge))
            result, node = edges[edge]
            results.append(result)
            edge = None
