"""Symmetry of identical tasks: states that differ in who is who are stored once.

For each permutation of identical tasks (``symmetry``) the image of a state is a state too, and
from there the same happens, to others. So a state is stored under the smallest fingerprint of all
its images, and is known if any image of it was met. The fingerprint is the exclusive or of one
key per slot; that of an image takes for each slot the key of the image of what the slot holds, in
the slot where it goes. The image of a value is the value with other names in it, the image of a
local state is the history with other names in it. For each of them the native core gets, once,
what the key changes by under each permutation; most change by nothing.

*The declaration is not believed, it is checked.* Whatever is filled into the tables, its image
under each exchange of two identical tasks is filled as well, and must be the image of what came
out: the same cell's image, blocked or not, the image of the new value, the image of the next local
state. As each permutation is made of such exchanges, and the initial state must be its own image,
every run that the tables know has all its images in them. Judgements and invariants are asked of
the images of the states that they are asked of, and must find the same kind. What is not
symmetric is a ``ModelError`` that names the place.

*With the other reductions.* The tables hold all images, so what is learned from them holds for
every state of the orbit, whichever of them is met. The cycle proviso goes by an order of local
states; here all images of one have the same *rank*, so that it is one of what is stored.
"""

from __future__ import annotations

import struct
from collections import deque
from typing import TYPE_CHECKING, Any

from ..errors import ModelError
from ..keys import key
from ..operation import Done, Failed, Op, Outcome, typed
from ..runner import Finished, Request, place_text
from ..symmetry import Permutation, group_of, renamed
from ..trace import Finding

if TYPE_CHECKING:
    from ..cell import Cell
    from .behaviour import Tables

REMEDY = "let Program.identical() name only tasks that may change places, with all cells of each"


class Orbits:
    """The images of what the tables of a program hold."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._program = tables.program
        self.group = group_of(tables.program)
        self._nodes: dict[int, int] = {}
        self._keys: list[list[int]] = []
        self._values: dict[tuple[int, int, int], int] = {}
        self._ranks: dict[int, int] = {}
        self._numbers = {p.tasks: i for i, p in enumerate(self.group.members)}
        self._shown: set[tuple[int, int]] = set()
        self._todo: deque[tuple[int, int]] = deque()
        self._busy = False
        tables.native.set_permutations(len(self.group.ways))
        self._check_start()

    def _check_start(self) -> None:
        for p in self.group.generators:
            for cell in self._program.cells:
                to = self._program.cells[p.cells[cell.index]]
                if typed(renamed(cell.values[0], p.names)) != typed(to.values[0]):
                    raise ModelError(
                        f"identical tasks: {cell.name} does not begin as {to.name} does", REMEDY
                    )

    # ---- what the native core is told ----------------------------------------------------------

    def of_node(self, node: int) -> tuple[int, bytes]:
        """The rank of a new local state, and what its key changes by under each permutation."""
        keys = self._images(node)
        self._keys.append(keys)
        self._nodes.setdefault(keys[0], node)
        return self._ranks.setdefault(min(keys), node), _changes(keys)

    def _images(self, node: int) -> list[int]:
        """The keys of the images of a local state; of one that ends in a finding, its own."""
        at, folds = self._tables.nodes[node], self._tables.folds
        if at.fold >= 0:
            images = [at.fold]
            for way, g in self.group.ways:
                images.append(folds.image(images[way], self.group.generators[g]))
            return [folds.key(fold) for fold in images]
        if isinstance(at.request, Finding):
            return [self._tables.key_of(node)] * len(self.group.members)
        ends = [str(p.tasks[at.task.index]) for p in self.group.members]
        return [key("end", task, str(at.request)) for task in ends]

    def show(self, cell: Cell[Any], value: int) -> None:
        """Tell what the key of a value changes by, before a state can have it."""
        if (cell.index, value) in self._shown:
            return
        self._shown.add((cell.index, value))
        images = [(cell, value)]
        for way, g in self.group.ways:
            images.append(self._moved(*images[way], g))
        self._tables.native.set_images(cell.index, value, _changes([c.key(v) for c, v in images]))

    def _moved(self, cell: Cell[Any], value: int, g: int) -> tuple[Cell[Any], int]:
        """The image of what a cell holds under a generator, and where it goes."""
        p = self.group.generators[g]
        to = self._program.cells[p.cells[cell.index]]
        known = (cell.index, value, g)
        if known not in self._values:
            self._values[known] = to.intern(renamed(cell.values[value], p.names))
        return to, self._values[known]

    def cells(self, cell: int) -> set[int]:
        """The cells that a cell is moved to, itself included."""
        return {p.cells[cell] for p in self.group.members}

    # ---- checking the declaration --------------------------------------------------------------

    def close(self, node: int, value: int) -> None:
        """An entry has been filled: fill its images, and see whether they are that.

        What an exception interrupts is made up for before the next one.
        """
        self._todo.append((node, value))
        if not self._busy:
            self.finish()

    def finish(self) -> None:
        """Check what is still to be checked."""
        self._busy = True
        try:
            while self._todo:
                for g in range(len(self.group.generators)):
                    self._image(*self._todo[0], g)
                self._todo.popleft()
        finally:
            self._busy = False

    def node(self, node: int, p: Permutation) -> int:
        """The image of a local state; it is known, for the way there has been filled."""
        found = self._nodes.get(self._keys[node][self._numbers[p.tasks]])
        if found is None:
            raise self._refusal(node, "is in a place that no other comes to")
        return found

    def _image(self, node: int, value: int, g: int) -> None:
        p = self.group.generators[g]
        there = self.node(node, p)
        here, other = self._tables.nodes[node].request, self._tables.nodes[there].request
        assert isinstance(here, Request)
        if not isinstance(other, Request) or (here.op is None) != (other.op is None):
            raise self._refusal(node, "goes on where another ends or chooses")
        if here.op is None or other.op is None:
            option = typed(renamed(here.options[value], p.names))
            options = [typed(o) for o in other.options]
            if option not in options or len(options) != len(here.options):
                raise self._refusal(node, "has other options than another in its place")
            self._fill(there, options.index(option))
            self._follow(node, here.options[value], there, p)
            return
        to, at = self._moved(here.op.cell, value, g)
        if other.op.cell is not to or here.cont != other.cont:
            raise self._refusal(node, f"does {here.op} where another does {other.op}")
        self._fill(there, at)
        mine, yours = here.op.outcome(value), other.op.outcome(at)
        if not self._alike(here.op, mine, yours, g):
            what = f"{here.op} of {here.op.cell.values[value]!r}"
            raise self._refusal(node, f"does {what}, and it matters who is who")
        if isinstance(mine, Done):
            self._follow(node, mine.result, there, p)

    def _alike(self, op: Op, mine: Outcome, yours: Outcome, g: int) -> bool:
        """Whether the second outcome is the image of the first, that of ``op``."""
        if isinstance(mine, Done) and isinstance(yours, Done):
            result = renamed(mine.result, self.group.generators[g].names)
            same = typed(result) == typed(yours.result)
            return same and self._moved(op.cell, mine.new, g)[1] == yours.new
        if isinstance(mine, Failed) and isinstance(yours, Failed):
            return mine.finding.kind == yours.finding.kind
        return type(mine) is type(yours)

    def _follow(self, node: int, result: Any, there: int, p: Permutation) -> None:
        """What comes after a result must be the image, too."""
        tables = self._tables
        mine = tables.successors[node, typed(result)]
        yours = tables.successors[there, typed(renamed(result, p.names))]
        request, other = tables.nodes[mine].request, tables.nodes[yours].request
        if isinstance(request, Finding) and isinstance(other, Finding):
            same = request.kind == other.kind
        else:
            same = self._keys[mine][self._numbers[p.tasks]] == self._keys[yours][0]
        if not same:
            raise self._refusal(node, "goes on in another way than another in its place")

    def _fill(self, node: int, value: int) -> None:
        if not self._tables.native.knows(node, value):
            self._tables.fill(node, value)

    def _refusal(self, node: int, what: str) -> ModelError:
        at = self._tables.nodes[node]
        return ModelError(
            f"{place_text(at.place)}: identical tasks: {at.task.name!r} {what}", REMEDY
        )

    def check_finding(self, name: str, found: Finding | None, image: Finding | None) -> None:
        """A predicate must find the same kind of thing in a state and in its image."""
        if (found and found.kind) != (image and image.kind):
            raise ModelError(
                f"identical tasks: {name} tells them apart: {found or 'nothing'} is found in a "
                f"state, {image or 'nothing'} in the same with two of them exchanged",
                REMEDY,
            )


class ImageView:
    """The image of a state, as predicates see it; ``view`` is the state."""

    def __init__(self, tables: Tables, orbits: Orbits, view: Any, p: Permutation) -> None:
        self._tables = tables
        self._orbits = orbits
        self._view = view
        self._p = p
        self.asked: dict[int, int] = {}

    def __getitem__(self, cell: Cell[Any]) -> Any:
        self.asked[cell.index] = 0
        from_cell = self._tables.program.cells[self._p.cells.index(cell.index)]
        return renamed(self._view[from_cell], self._p.names)

    def _node(self, task: str) -> int:
        index = self._tables.program.task_named(task).index
        self.asked[~index] = 0
        return self._orbits.node(self._view.node(self._p.tasks.index(index)), self._p)

    def done(self, task: str) -> bool:
        """Whether the task has returned."""
        return isinstance(self._tables.nodes[self._node(task)].request, Finished)

    def blocked(self) -> list[str]:
        """The tasks that have not returned."""
        return [t.name for t in self._tables.program.tasks if not self.done(t.name)]

    def pending(self, task: str) -> Op | None:
        """The next operation of the task."""
        request = self._tables.nodes[self._node(task)].request
        return request.op if isinstance(request, Request) else None


def _changes(keys: list[int]) -> bytes:
    """What the first key is changed by to make each of the others; empty if by nothing."""
    words = [k ^ keys[0] for k in keys[1:]]
    return struct.pack(f"<{len(words)}Q", *words) if any(words) else b""
