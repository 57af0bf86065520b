"""What kernels have called, and the model in the same situations, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any

from refault.live.functions.compare import Compared, Line, Thread
from refault.live.functions.stories import SITUATIONS

WIDTH = 80
CONTEXT = 2
"""Equal lines that are shown before and after one that differs."""

_COLUMN = 34
_LEGEND = """\
.        the same functions in the same order, each thread for itself
differs  they are not; a number says in how many places
-        not recorded on that kernel"""


def functions_table(found: Iterable[Compared]) -> str:
    """The table of situations and kernels, of at most 80 columns."""
    cells = {(one.situation, one.release): one for one in found}
    releases = list(dict.fromkeys(release for _, release in cells))
    names = [name for name in SITUATIONS if any(name == situation for situation, _ in cells)]
    width = max(map(len, names), default=0) + 2
    rows = ["situation".ljust(width) + "".join(release.rjust(11) for release in releases)]
    for name in names:
        said = (_cell(cells.get((name, release))) for release in releases)
        rows.append(name.ljust(width) + "".join(text.rjust(11) for text in said))
    agreed = (_agreed(release, cells.values()) for release in releases)
    rows.append("agree".ljust(width) + "".join(text.rjust(11) for text in agreed))
    return "\n".join([*rows, "", _LEGEND])


def _cell(one: Compared | None) -> str:
    if one is None:
        return "-"
    return "." if one.agrees else f"differs {one.distance or ''}".rstrip()


def _agreed(release: str, found: Iterable[Compared]) -> str:
    here = [one.agrees for one in found if one.release == release]
    return f"{sum(here)} of {len(here)}"


def functions_differences(found: Iterable[Compared]) -> str:
    """For each situation that differs, what the kernel did and what the model did beside it."""
    return "\n\n".join("\n".join(_told(one)) for one in found if not one.agrees)


def _told(one: Compared) -> Iterator[str]:
    yield f"{one.situation} on {one.version}"
    yield f"  {SITUATIONS[one.situation].title}"
    if one.ended:
        yield f"  {one.ended}"
    for thread in one.threads:
        if not thread.agrees:
            yield f"  {thread.name}"
            yield f"    {'kernel':{_COLUMN}} model"
            yield from _lines(thread)


def _lines(thread: Thread) -> Iterator[str]:
    lines = thread.lines
    near = [
        any(not line.agrees for line in lines[max(0, at - CONTEXT) : at + CONTEXT + 1])
        for at in range(len(lines))
    ]
    for shown, numbers in groupby(range(len(lines)), key=near.__getitem__):
        part = [lines[number] for number in numbers]
        if shown:
            yield from map(_line, part)
        else:
            yield f"    ({len(part)} the same)"


def _line(line: Line) -> str:
    sign = " " if line.agrees else "*"
    model = f"not from {line.around}" if line.around else line.model
    return f"  {sign} {line.kernel:{_COLUMN}} {model}"[:WIDTH].rstrip()


def functions_json(found: Iterable[Compared]) -> list[dict[str, Any]]:
    """The same as what JSON can say: an object a situation and kernel, with all that differs."""
    return [
        {
            "situation": one.situation,
            "title": SITUATIONS[one.situation].title,
            "release": one.release,
            "version": one.version,
            "agrees": one.agrees,
            "schedule": one.policy._asdict(),
            "ended": one.ended,
            "threads": {thread.name: _differing(thread) for thread in one.threads},
        }
        for one in found
    ]


def _differing(thread: Thread) -> Mapping[str, Any]:
    return {
        "calls": len(thread.lines),
        "differences": [
            {"at": at, "kernel": line.kernel, "model": line.model, "not_from": line.around}
            for at, line in enumerate(thread.lines)
            if not line.agrees
        ],
    }
