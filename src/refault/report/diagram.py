"""The mail diagram: one column per task under dashes, as maintainers draw races on the list.

    cpu0: worker                 cpu1: monitor
    ------------                 -------------
    handle_userfault()
                                 UFFDIO_COPY
                                  wake_userfault()
                                   [nothing to wake]

     userfaultfd_must_wait()
      [PTE is clear]

Time runs down, a blank line is a context switch, and call depth is one blank. A row has words of
one task only, so a long name may run into the empty columns to its right, as it does in drawings
made by hand: where a row begins tells whose it is. Text goes on in the next row, indented, before
it gets too wide for a column; where there are too many columns for that, the same story comes as a
list with the task named in front.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .reasons import Line
from .story import acting, tell
from .text import ascii_text, prefixed, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from refault.explore.trace import Trace

WIDTH = 76
"""Mail is read at 80 columns, and quoted once or twice."""
NARROWEST = 14
"""Columns that begin closer to each other than this are hard to tell apart; a list reads better."""
LEGIBLE = 40
"""A line is not broken before this width, if there is room to the right."""
TAB = 8
GAP = 2

Story = list[list[Line]]


def diagram(trace: Trace, *, prefix: str = "", width: int = WIDTH) -> str:
    """Draw ``trace`` in at most ``width`` characters a line, each behind ``prefix``."""
    tasks, (story, legend) = acting(trace), tell(trace)
    if not story:
        return ""
    heads = {task: _head(task, cpu) for cpu, task in enumerate(tasks)}
    room = max(width - len(prefix), NARROWEST)
    wanted = [_natural(task, heads, story) for task in tasks]
    starts = _starts(wanted, [len(head) for head in heads.values()], room)
    if starts is None:
        drawn = list(_list(story, room, trace.steps))
    else:
        drawn = list(_drawing(heads, story, starts, wanted, room))
    below = [row for text in legend for row in wrap(text, room, hang=2)]
    return prefixed([*drawn, *([""] if below else []), *below], prefix)


def _head(task: str, cpu: int) -> str:
    """Name a column: ``cpu0: worker``, or the task's name if it is a CPU already."""
    return ascii_text(task if re.fullmatch(r"cpu\d+", task) else f"cpu{cpu}: {task}")


def _natural(task: str, heads: Mapping[str, str], story: Story) -> int:
    """Return the width that the column of ``task`` would like to have."""
    lines = (line for run in story for line in run if line.task == task)
    return max(len(heads[task]), *(n.depth + len(n.text) + len(_mark(n)) for n in lines), 0)


def _mark(line: Line) -> str:
    return f"  ({line.mark})" if line.mark else ""


def _starts(wanted: Sequence[int], heads: Sequence[int], room: int) -> list[int] | None:
    """Return where each column starts, or None if that leaves too little room to read.

    Columns start at tab stops if all of them get what they want. Else the last one, which has
    nothing to its right to run into, is served first, and the others share what it leaves.
    """
    starts = [0]
    for want in wanted[:-1]:
        starts.append(-(-(starts[-1] + want + GAP) // TAB) * TAB)
    if len(wanted) == 1 or starts[-1] + wanted[-1] <= room:
        return starts
    room -= GAP * (len(wanted) - 1)
    least = [max(head, min(want, NARROWEST)) for want, head in zip(wanted, heads, strict=True)]
    last = min(wanted[-1], max(LEGIBLE, room // len(wanted)), room - sum(least[:-1]))
    if last < min(wanted[-1], LEGIBLE // 2):
        return None
    share = _share(wanted[:-1], least[:-1], room - last)
    return [sum(share[:n]) + GAP * n for n in range(len(wanted))]


def _share(wanted: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Divide ``room``: all get the least, and the rest is for those who want more, evenly."""
    share = list(least)
    rest = room - sum(least)
    order = sorted(range(len(wanted)), key=lambda column: wanted[column] - least[column])
    for place, column in enumerate(order):
        more = min(wanted[column] - least[column], rest // (len(order) - place))
        share[column] += more
        rest -= more
    return share


def _drawing(
    heads: Mapping[str, str],
    story: Story,
    starts: Sequence[int],
    wanted: Sequence[int],
    room: int,
) -> Iterator[str]:
    column = dict(zip(heads, starts, strict=True))
    spans = [end - start for start, end in zip(starts, [*starts[1:], room + GAP], strict=True)]
    title = [wrap(head, span - GAP) for head, span in zip(heads.values(), spans, strict=True)]
    for row in range(max(map(len, title))):
        yield _row([lines[row] if row < len(lines) else "" for lines in title], starts)
    yield _row(["-" * max(map(len, lines)) for lines in title], starts)
    wide = {
        task: min(room - start, max(span - GAP, LEGIBLE))
        for (task, start), span in zip(column.items(), spans, strict=True)
    }
    edges = {
        task: min(want, span - GAP) for task, want, span in zip(heads, wanted, spans, strict=True)
    }
    for number, run in enumerate(story):
        if number > 0:
            yield ""
        for line in run:
            margin = " " * column[line.task]
            mark = _mark(line)
            wrapped = min(wide[line.task], room - len(margin) - len(mark))
            rows = _fitted(line, wrapped)
            rows[-1] = rows[-1].ljust(edges[line.task] - len(mark) if mark else 0) + mark
            yield from (margin + text for text in rows)


def _row(cells: Sequence[str], starts: Sequence[int]) -> str:
    row = ""
    for cell, start in zip(cells, starts, strict=False):
        row = row.ljust(start) + cell
    return row


def _fitted(line: Line, width: int) -> list[str]:
    """Indent and wrap a line; indentation never takes more than a third of the column."""
    indent = min(line.depth, width // 3)
    hang = indent + (1 if line.text.startswith("[") else 2)
    return wrap(line.text, width, indent, hang)


def _list(story: Story, room: int, steps: int) -> Iterator[str]:
    """Tell the story in one column, with step and task in front.

    A function that a task was stuck in belongs to no step.
    """
    name = min(max(len("task"), *(len(line.task) for run in story for line in run)), room // 3)
    digits = max(len("step"), len(str(steps)))
    yield f"{'step':>{digits}}  {'task':<{name}}  event"
    yield f"{'-' * digits}  {'-' * name}  -----"
    for number, run in enumerate(story):
        if number > 0:
            yield ""
        for line in run:
            step = str(line.step) if line.step < steps else ""
            front = f"{step:>{digits}}  {ascii_text(line.task)[:name]:<{name}}  "
            rows = _fitted(line, room - len(front) - len(_mark(line)))
            rows[-1] += _mark(line)
            for text in rows:
                yield front + text
                front = " " * len(front)
