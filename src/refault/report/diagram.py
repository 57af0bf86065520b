"""The mail diagram: one column per task under dashes, as maintainers draw races on the list.

    cpu0: worker                 cpu1: monitor
    ------------                 -------------
    handle_userfault()
                                 UFFDIO_COPY
                                  wake_userfault()
                                   [nothing to wake]

     userfaultfd_must_wait()
      [PTE is clear]

Time runs down, a blank line is a context switch, call depth is one blank, and a long line goes on
inside its column. Where the columns would be too narrow to read, the same story comes as a list
with the task named in front.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from .story import Line, acting, tell
from .text import ascii_text, prefixed, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from refault.explore.trace import Trace

WIDTH = 76
"""Mail is read at 80 columns, and quoted once or twice."""
NARROWEST = 17
"""Columns of fewer characters break most kernel names; then a list reads better."""
TAB = 8
GAP = 2

Story = list[list[Line]]


def diagram(trace: Trace, *, prefix: str = "", width: int = WIDTH) -> str:
    """Draw ``trace`` in at most ``width`` characters a line, each behind ``prefix``."""
    tasks, story = acting(trace), tell(trace)
    heads = {task: _head(task, cpu) for cpu, task in enumerate(tasks)}
    room = max(width - len(prefix), NARROWEST)
    starts = _columns([_natural(task, heads, story) for task in tasks], room)
    if starts is None:
        return prefixed(_list(heads, story, room), prefix)
    return prefixed(_drawing(heads, story, starts, room), prefix)


def _head(task: str, cpu: int) -> str:
    """Name a column: ``cpu0: worker``, or the task's name if it is a CPU already."""
    return ascii_text(task if re.fullmatch(r"cpu\d+", task) else f"cpu{cpu}: {task}")


def _natural(task: str, heads: Mapping[str, str], story: Story) -> int:
    """Return the width that the column of ``task`` would like to have."""
    texts = (line.depth + len(line.text) for run in story for line in run if line.task == task)
    return max(len(heads[task]), *texts, 0)


def _columns(wanted: Sequence[int], room: int) -> list[int] | None:
    """Return where each column starts and the last one ends, or None if they get too narrow.

    Columns start at tab stops if all of them get what they want, else next to each other, and
    else the wide ones share what the narrow ones leave.
    """
    starts = [0]
    for want in wanted[:-1]:
        starts.append(-(-(starts[-1] + want + GAP) // TAB) * TAB)
    if wanted and starts[-1] + wanted[-1] <= room:
        return [*starts, room + GAP]
    share = _share(wanted, room - GAP * (len(wanted) - 1))
    if any(got < min(want, NARROWEST) for want, got in zip(wanted, share, strict=True)):
        return None
    starts = [0]
    for got in share:
        starts.append(starts[-1] + got + GAP)
    return starts


def _share(wanted: Sequence[int], room: int) -> list[int]:
    """Divide ``room``: nobody gets more than wanted, and nobody less than the others unasked."""
    share = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=lambda column: wanted[column])
    for place, column in enumerate(order):
        share[column] = min(wanted[column], room // (len(order) - place))
        room -= share[column]
    return share


def _drawing(
    heads: Mapping[str, str], story: Story, starts: Sequence[int], room: int
) -> Iterator[str]:
    ends = [min(end - GAP, room) for end in starts[1:]]
    column = dict(zip(heads, zip(starts, ends, strict=False), strict=True))
    title = [wrap(head, column[task][1] - column[task][0]) for task, head in heads.items()]
    height = max(map(len, title), default=0)
    for row in range(height):
        yield _row([lines[row] if row < len(lines) else "" for lines in title], starts)
    yield _row(["-" * max(map(len, lines)) for lines in title], starts)
    for number, run in enumerate(story):
        if number > 0:
            yield ""
        for line in run:
            start, end = column[line.task]
            yield from (" " * start + text for text in _fitted(line, end - start))


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


def _list(heads: Mapping[str, str], story: Story, room: int) -> Iterator[str]:
    """Tell the story in one column, with step and task in front of each line."""
    name = min(max(map(len, heads.values()), default=0), room // 3)
    digits = max(len("step"), *(len(str(line.step)) for run in story for line in run))
    yield f"{'step':>{digits}}  {'task':<{name}}  event"
    yield f"{'-' * digits}  {'-' * name}  -----"
    for number, run in enumerate(story):
        if number > 0:
            yield ""
        for line in run:
            front = f"{line.step:>{digits}}  {heads[line.task][:name]:<{name}}  "
            for text in _fitted(line, room - len(front)):
                yield front + text
                front = " " * len(front)
