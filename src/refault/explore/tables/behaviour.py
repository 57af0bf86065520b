"""Behaviour tables: what each task does next, for every history of results that matters.

A task is a deterministic function of the results that it has seen. So its *local state* is its
history of results, and all that the search must know of a local state is the operation that comes
next and, for each result, the local state after it. That is a *behaviour table*. Python code runs
only where the table has no entry yet, once per distinct history of one task; the interleavings, of
which there are exponentially more, are explored on ints alone (see ``_core``).

**Folding.** Raw histories grow for ever. Three things fold them:

* the end of a *scope* (a system call, an instruction, a traced kernel function) replaces what
  happened inside by the value that was returned;
* a *restart point* replaces what happened since its scope began by the values given to it, so a
  server's event loop, a retried fault and a re-executed instruction are finite;
* a task that returned is simply done.

A folded history is interned to an int, the *fold*; local states (*nodes*) are in one-to-one
correspondence with folds. The locks that the task holds are part of a fold, for the reduction
reasons with them.

**Soundness of folding.** Nothing checks that the code after a fold depends only on what the fold
keeps; it is the rule for model code that it does (no mutable state outside cells and locals,
locals that live across a loop named in ``restart``). What is checked: when a second history
arrives at a known fold, the operation that it asks for must be the recorded one, and so must
those of the next few steps (``SHADOW``) along results that the table already has. If not, the
model keeps *hidden state*, and the error names both places. A difference that shows only later,
or only after other results, goes unnoticed; the verdicts of such a model are worthless, and
nothing here can tell.

**Re-execution.** To extend the table at a node, a greenlet must stand there. The one that found
the node is parked (up to ``PARKED`` of them) and simply goes on; otherwise the task is run anew
and fed the recorded results. Each request on the way must equal the recorded one, or the model
is nondeterministic.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator
from itertools import pairwise
from typing import Any, NamedTuple

from ..engines._behaviour import Behaviour
from ..engines._core import Core
from ..errors import EndlessLoop, HiddenState, Nondeterminism
from ..keys import key
from ..operation import Crashed, Failed, Op, typed
from ..program import Program, Task
from ..runner import Finished, Place, Request, Stop, place_text
from ..runtime import check_hashable
from ..trace import Finding
from .bounds import Bounds
from .discipline import Discipline, Held
from .folding import FoldingRunner, Folds
from .orbits import Orbits

PARKED = 512
SHADOW = 16
MAX_HISTORY = 5000
MAX_NODES = 2_000_000
DONE, CHOOSE, FAIL = -1, -2, -3


class Node(NamedTuple):
    """A local state: what the task asks for there and how it was first reached."""

    task: Task
    request: Stop
    fold: int
    held: Held
    place: Place | None
    parent: int
    result: Any


class Tables:
    """The behaviour tables of a program, and the same in memory (``native``) for the searches."""

    def __init__(
        self, program: Program, *, max_history: int = MAX_HISTORY, symmetric: bool = False
    ) -> None:
        self.program = program
        self.native = Behaviour(len(program.cells), len(program.tasks))
        self.core = Core(self.native, self)
        self.discipline = Discipline(program, self.native)
        self.nodes: list[Node] = []
        self.findings: list[Finding] = []
        self.fill_probe: Any = None
        self.log: list[tuple[int, int]] = []
        self.bounds = Bounds()
        self._whole: int | None = None
        self._max_history = max_history
        self.folds = Folds()
        self._by_fold: dict[int, int] = {}
        self.successors: dict[tuple[int, Hashable], int] = {}
        self.steps: dict[tuple[int, int], tuple[int, int]] = {}
        self._ahead: dict[int, tuple[Any, Held, int]] = {}
        self._ends: dict[tuple[int, object], int] = {}
        self._parked: OrderedDict[int, FoldingRunner] = OrderedDict()
        self._node_keys: list[int] = []
        symmetric = symmetric and bool(program.groups) and program.mutation is None
        self.orbits = Orbits(self) if symmetric else None
        self._root()
        self.discipline.settle()

    def _root(self) -> None:
        self.starts = starts = [self._start(t) for t in self.program.tasks]
        fp = 0
        for cell in self.program.cells:
            fp ^= cell.key(0)
            if self.orbits is not None:
                self.orbits.show(cell, 0)
        for node in starts:
            fp ^= self._node_keys[node]
        self.native.set_root([0] * len(self.program.cells), starts, fp)

    def fill(self, node: int, value: int) -> None:
        """Complete the entry of ``node`` at the cell's value ``value`` (or for a choice)."""
        self.bounds.look(len(self.log))
        if self._whole is not None:
            self._fill(node, value)
            return
        before = len(self.nodes)
        try:
            self._fill(node, value)
        except BaseException:  # Ctrl-C, at any point: what was asked later is not in the log
            self._whole = before
            raise
        self.log.append((node, value))
        if self.orbits is not None:
            self.orbits.close(node, value)

    def _fill(self, node: int, value: int) -> None:
        at = self.nodes[node]
        request = at.request
        assert isinstance(request, Request)
        if request.op is None:
            after = self._successor(node, request.options[value], at.held)
            self._connect(node, value, 0, after, 0)
        else:
            self._fill_op(node, at, request.op, value)
        if self.discipline.settle():
            self.native.withdraw()

    def _fill_op(self, node: int, at: Node, op: Op, value: int) -> None:
        outcome = op.outcome(value)
        if outcome is None:
            self.native.set_blocked(node, value)
            return
        if isinstance(outcome, Crashed):
            raise op.crash(outcome.error)
        if isinstance(outcome, Failed):
            self._connect(node, value, value, self._end(at.task, outcome.finding), 0)
            return
        held = self.discipline.held_after(at.task, at.held, op, value, outcome.new)
        after = self._successor(node, outcome.result, held)
        if self.orbits is not None:
            self.orbits.show(op.cell, outcome.new)
        change = op.cell.key(value) ^ op.cell.key(outcome.new)
        self._connect(node, value, outcome.new, after, change)

    def _connect(self, node: int, value: int, new: int, after: int, change: int) -> None:
        change ^= self._node_keys[node] ^ self._node_keys[after]
        self.native.set_entry(node, value, new, after, self._continues(after), change)

    def _continues(self, node: int) -> bool:
        request = self.nodes[node].request
        return isinstance(request, Request) and request.cont

    def _start(self, task: Task) -> int:
        runner = FoldingRunner(self.program, task, self.folds, self._max_history)
        return self._land(runner, runner.resume(), -1, None)

    def _successor(self, node: int, result: Any, held: Held) -> int:
        try:
            edge = (node, typed(result))
            known = self.successors.get(edge)
        except TypeError:
            check_hashable(result, "the result of an operation")
            raise
        if known is not None:
            if self.nodes[known].parent == node:
                self.discipline.reconcile(self.nodes[known].held, held)
            return known
        runner = self._parked.pop(node, None) or self._rebuild(node)
        runner.feeding = False
        after = self._land(runner, runner.go_on(result, held), node, result)
        self.successors[edge] = after
        self._ahead.setdefault(node, (result, held, after))
        return after

    def _land(self, runner: FoldingRunner, stop: Stop, parent: int, result: Any) -> int:
        """The node where a run has come to a stop."""
        if not isinstance(stop, Request):
            return self._end(runner.task, stop)
        known = self._by_fold.get(runner.fold)
        if known is not None:
            self._same_request(known, runner, stop)
            if parent >= 0:
                self._ahead.setdefault(parent, (result, runner.held, known))
            self._shadow(runner, known)
            runner.kill()
            return known
        node = Node(runner.task, stop, runner.fold, runner.held, runner.place, parent, result)
        number = self._add(node)
        self._by_fold[runner.fold] = number
        self._park(number, runner)
        return number

    def _end(self, task: Task, stop: Finished | Finding) -> int:
        key = (task.index, stop)
        known = self._ends.get(key)
        if known is None:
            known = self._ends[key] = self._add(Node(task, stop, -1, frozenset(), None, -1, None))
        return known

    def _add(self, node: Node) -> int:
        self.nodes.append(node)
        self._node_keys.append(self._key(node))
        if len(self.nodes) > MAX_NODES:
            raise EndlessLoop(
                f"{place_text(node.place)}: {MAX_NODES} local states, most likely of task "
                f"{node.task.name!r}",
                "put restart(<locals that live across the loop>) at the head of endless loops, "
                "and make functions that return little @scope",
            )
        number, request = len(self.nodes) - 1, node.request
        rank, images = -1, b""
        if self.orbits is not None:
            rank, images = self.orbits.of_node(number)
        what = (DONE, 0, True)
        if isinstance(request, Finding):
            self.findings.append(request)
            what = (FAIL, len(self.findings) - 1, False)
        elif isinstance(request, Request):
            what = (CHOOSE, len(request.options), True)
            if request.op is not None:
                what = (request.op.cell.index, 0, request.op.reads)
        self.native.add_node(node.task.index, *what, rank, images)
        if isinstance(request, Request) and request.op is not None:
            self.discipline.add(number, node.task, request.op, node.held)
        return number

    def _key(self, node: Node) -> int:
        if node.fold < 0:
            return key("end", str(node.task.index), str(node.request))
        return self.folds.key(node.fold)

    def _shadow(self, runner: FoldingRunner, node: int) -> None:
        """Lead a run that arrived by another history along the table for some steps.

        Hidden state seldom shows in the very next operation.
        """
        runner.feeding = True
        for _ in range(SHADOW):
            ahead = self._ahead.get(node)
            if ahead is None:
                return
            result, held, following = ahead
            stop = runner.go_on(result, held)
            known = self.nodes[following]
            if stop != known.request or (known.fold >= 0 and runner.fold != known.fold):
                self._hidden(following, runner, stop)
            if known.fold < 0:
                return
            node = following

    def _same_request(self, known: int, runner: FoldingRunner, now: Request) -> None:
        if self.nodes[known].request != now:
            self._hidden(known, runner, now)

    def _hidden(self, known: int, runner: FoldingRunner, now: Stop) -> None:
        before = self.nodes[known]
        raise HiddenState(
            f"task {runner.task_name!r} keeps hidden state: two histories meet in one local state, "
            f"then one goes on with {self._what(before.request)} at {place_text(before.place)}, "
            f"the other with {self._what(now)} at {place_text(runner.place)}",
            "keep what lives across restart() in its arguments, what leaves a scope in its return "
            "value, and all else in cells",
        )

    @staticmethod
    def _what(request: Stop) -> str:
        if isinstance(request, Request):
            return str(request.op) if request.op else f"choose{request.options}"
        return "its end"

    def _park(self, node: int, runner: FoldingRunner) -> None:
        self._parked[node] = runner
        if len(self._parked) > PARKED:
            self._parked.popitem(last=False)[1].kill()

    def _rebuild(self, node: int) -> FoldingRunner:
        """Run the task anew up to ``node``, along the history by which it was first reached."""
        path = [node]
        while self.nodes[path[-1]].parent >= 0:
            path.append(self.nodes[path[-1]].parent)
        path.reverse()
        runner = FoldingRunner(self.program, self.nodes[node].task, self.folds, self._max_history)
        runner.feeding = True
        stop = runner.resume()
        for before, after in pairwise(path):
            self._same_again(runner, stop, before)
            stop = runner.go_on(self.nodes[after].result, self.nodes[after].held)
        self._same_again(runner, stop, node)
        return runner

    def _same_again(self, runner: FoldingRunner, stop: Stop, node: int) -> None:
        recorded = self.nodes[node]
        if stop == recorded.request and runner.fold == recorded.fold:
            return
        what = (
            f"asked for {self._what(stop)} where it had asked for {self._what(recorded.request)}"
            if stop != recorded.request
            else "returned from a scope, or gave restart(), a value that is not equal to the first"
        )
        raise Nondeterminism(
            f"{place_text(recorded.place)}: task {runner.task_name!r} is not deterministic: given "
            f"the same results again, it {what}",
            "use no clock, randomness, set order or state kept between runs; objects made while a "
            "task runs must compare by value",
        )

    def edges(self) -> Iterator[tuple[int, int]]:
        """Each way from a local state to the next, also those that lead to a broken property."""
        for (source, _result), target in self.successors.items():
            yield source, target

    def key_of(self, node: int) -> int:
        """The key of a local state, the same in every process."""
        return self._node_keys[node]

    def digest(self) -> int:
        """A number that two tables have in common only if the log makes the same local states."""
        return key("tables", tuple(self._node_keys[: self._whole]))

    def close(self) -> None:
        """Unwind the parked runs."""
        while self._parked:
            self._parked.popitem()[1].kill()
