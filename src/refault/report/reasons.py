"""Why it goes wrong, as marks on the lines of a story and a legend below them.

Lines that tell of operations whose order matters are numbered as a reader meets them, and the
legend says which must come before which. What a task never came to do is named where it has no
line. A remark in brackets stands where it became inevitable, and others where an endless round
begins and ends.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

from .calls import Call, Deed, Point, deeds, point
from .speakers import everything, speaker, stuck_in
from .text import ascii_text, signature

if TYPE_CHECKING:
    from collections.abc import Sequence

    from refault.explore.trace import Missed, Order, Trace

INEVITABLE = "[from here on it is inevitable]"
FOR_EVER = "[from here on for ever]"
AND_SO_ON = "[and so on]"

Item = Call | Deed


class Line(NamedTuple):
    """One line of a story: who, at which step, how deep in its shown calls, and the words.

    ``mark`` is its number if its order matters, else 0.
    """

    step: int
    task: str
    depth: int
    text: str
    mark: int = 0


class Reasons:
    """Finds the lines that matter in the story of a trace."""

    def __init__(self, trace: Trace) -> None:
        self._trace = trace
        self._orders = [order for order in trace.orders if order.matters]
        self._speakers: dict[tuple[str, Point], Item] = {}
        self._numbers: dict[int, int] = {}
        self._places: dict[int, int] = {}
        self._turn = -1

    def settled(self, task: str) -> float:
        """The step of ``task`` after which it did nothing of interest; infinity if not known.

        Whatever a task does that is left waiting at the end is of interest.
        """
        trace = self._trace
        known = trace.inevitable > 0 and trace.cycle < 0 and not trace.unexplained
        if not known or task in trace.waiting:
            return math.inf
        return max([trace.inevitable - 1, *(step for step, _ in self.points(task))])

    def points(self, task: str) -> set[Point]:
        """The operations of ``task`` whose order matters, one of them maybe never done."""
        ends = [((o.first, o.cell), o.tasks[0]) for o in self._orders]
        ends += [((o.second, o.cell), o.tasks[1]) for o in self._orders]
        return {point for point, who in ends if who == task}

    def place(self, task: str, bottom: Call) -> None:
        """Find who tells of these operations, and see that it has a line."""
        steps = self._trace.steps
        for wanted in self.points(task):
            stuck = wanted[0] >= steps
            found = stuck_in(bottom, steps) if stuck else speaker(bottom, wanted)
            if found is not None:
                found.shown = True
                self._speakers[task, wanted] = found
        turn = self._trace.inevitable - 1
        if 0 <= turn < steps and self._trace.schedule[turn][0] == task:
            self._places = {id(item): n for n, item in enumerate(everything(bottom))}
            last = [deed for deed, _ in deeds(bottom) if deed.event.step == turn]
            found = speaker(bottom, point(last[-1])) if last else None
            self._turn = self._places[id(found)] if found else -1

    def marked(self, told: Sequence[tuple[Line, Item | None]]) -> list[Line]:
        """Number the lines that matter, and put in the remarks."""
        matters = {id(item) for item in self._speakers.values()}
        lines: list[Line] = []
        for line, item in told:
            if id(item) in matters:
                self._numbers[id(item)] = len(self._numbers) + 1
            lines.append(line._replace(mark=self._numbers.get(id(item), 0)))
        return self._with_round(self._with_turn(lines, [item for _, item in told]))

    def _with_turn(self, lines: list[Line], items: list[Item | None]) -> list[Line]:
        """Put in where it became inevitable, unless nothing comes after that but a round."""
        if self._trace.inevitable == self._trace.cycle:
            return lines
        before = [
            (self._places[id(item)], number)
            for number, item in enumerate(items)
            if item is not None and self._places.get(id(item), math.inf) <= self._turn
        ]
        at = max(before)[1] + 1 if before else len(lines)
        if at == len(lines):
            return lines
        last = lines[at - 1]
        depth = last.depth + isinstance(items[at - 1], Call)
        return [*lines[:at], Line(last.step, last.task, depth, INEVITABLE), *lines[at:]]

    def _with_round(self, lines: list[Line]) -> list[Line]:
        """Put in where the endless round begins and ends."""
        cycle, steps = self._trace.cycle, self._trace.steps
        at = next((n for n, line in enumerate(lines) if cycle <= line.step < steps), None)
        if at is None or cycle < 0:
            return lines
        begin = lines[at]._replace(text=FOR_EVER, mark=0)
        end = lines[-1]._replace(text=AND_SO_ON, mark=0)
        return [*lines[:at], begin, *lines[at:], end]

    def legend(self) -> list[str]:
        """Say what the marks mean, a paragraph for each thing that there is to say."""
        said = [self._needs()] if self._orders else []
        if self._trace.inevitable == 0:
            said.append("Every run ends like this.")
        said += [self._missed(missed) for missed in self._trace.missed]
        if self._trace.unexplained:
            said.append(f"Which orders matter is not settled: {self._trace.unexplained}.")
        return [ascii_text(text) for text in said]

    def _needs(self) -> str:
        chains: list[list[str]] = []
        for first, second in sorted(dict.fromkeys(map(self._ends, self._orders)), key=_numbers):
            chain = next((c for c in chains if c[-1] == first), None)
            if chain is None:
                chains.append([first, second])
            else:
                chain.append(second)
        told = [" before ".join(chain) for chain in chains]
        return f"It takes {_listed(told)}."

    def _ends(self, order: Order) -> tuple[str, str]:
        names = [
            self._mark(task, (step, order.cell)) or f"{task}'s {operation}({order.cell})"
            for task, step, operation in zip(
                order.tasks, (order.first, order.second), order.operations, strict=True
            )
        ]
        return names[0], names[1]

    def _mark(self, task: str, wanted: Point) -> str:
        number = self._numbers.get(id(self._speakers.get((task, wanted))))
        return f"({number})" if number else ""

    def _missed(self, missed: Missed) -> str:
        marks = (
            self._mark(task, wanted)
            for task, wanted in self._speakers
            if (task, wanted[0]) == (missed.waker, missed.step)
        )
        text = f"{missed.sleeper} misses {signature(missed.call)} by {missed.waker}"
        return " ".join([text, *marks]) + ", the last wake-up."


def _numbers(names: tuple[str, str]) -> list[float]:
    """Sort marks by number, and what has none behind them."""
    return [int(name[1:-1]) if name.startswith("(") else math.inf for name in names]


def _listed(items: Sequence[str]) -> str:
    return " and ".join(filter(None, [", ".join(items[:-1]), items[-1]]))
