"""What was observed on a kernel beside what the model allows, as herd and litmus print it."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping

from refault.litmus.compare import Comparison, common
from refault.litmus.program import Outcome

WIDTH = 80
HEADING = "    runs  outcomes  scenario"


def line(one: Comparison) -> str:
    """The line of one scenario: how many of the allowed outcomes were seen."""
    if one.missing:
        return f"       -  {'not here':<8}  {one.scenario}"
    if not one.ok:
        return f"{one.runs:>8}  {'FORBIDDEN' if one.runs else 'NOTHING  '} {one.scenario}"
    share = f"{one.seen} of {len(one.allowed)}"
    return f"{one.runs:>8}  {share:<8}  {one.scenario}"


def histogram(one: Comparison) -> str:
    """All outcomes of a scenario with their counts; what they share is said once."""
    return "\n".join(_histogram(one))


def _histogram(one: Comparison) -> Iterator[str]:
    yield f"{one.scenario}: {_times(one.runs)} on {one.kernel}, model {one.variant or 'base'}"
    every = [*one.observed, *one.never]
    shared = common(every)
    if shared:
        yield from _wrapped("always" if len(every) > 1 else _count(one, every[0]), _said(shared))
    if len(every) == 1:
        if one.forbidden:
            yield from _not_this(one)
        return
    for outcome, count in one.observed.most_common():
        remark = "" if outcome in one.allowed else "FORBIDDEN: "
        yield from _wrapped(_times(count), remark + _said(_rest(outcome, shared)))
    for outcome in one.never:
        yield from _wrapped("never", f"allowed: {_said(_rest(outcome, shared))}")


def absent(found: Iterable[Comparison]) -> Iterator[str]:
    """Why scenarios could not be tried, each reason once, with those that it is about."""
    reasons: dict[str, list[str]] = {}
    for one in found:
        if one.missing:
            why = f"{one.missing}: {one.remedy}" if one.remedy else one.missing
            reasons.setdefault(why, []).append(one.scenario)
    for why, names in reasons.items():
        yield "\n".join([*_wrapped("not here", why), *_wrapped("", ", ".join(names))])


def _count(one: Comparison, outcome: Outcome) -> str:
    return _times(one.observed[outcome])


def _not_this(one: Comparison) -> Iterator[str]:
    yield from _wrapped("", "FORBIDDEN: the model allows nothing like it")


def _times(count: int) -> str:
    return f"{count} run{'' if count == 1 else 's'}"


def _rest(outcome: Outcome, shared: Mapping[str, str]) -> dict[str, str]:
    return {label: value for label, value in outcome if label not in shared}


def _said(values: Mapping[str, str]) -> str:
    """Values by label; blanks within a value are kept together when lines are broken."""
    quoted = (f"{k}={v!r}" if " " in v else f"{k}={v}" for k, v in values.items())
    return "  ".join(part.replace(" ", "\0") for part in quoted)


def _wrapped(head: str, text: str) -> Iterator[str]:
    lines = textwrap.wrap(text, WIDTH - 12, break_long_words=False, break_on_hyphens=False)
    for index, part in enumerate(lines):
        yield f"{head if index == 0 else '':>10}  {part}".replace("\0", " ").rstrip()


def table(columns: list[str], rows: Mapping[str, Mapping[str, Comparison]]) -> str:
    """Scenarios against kernels: outcomes seen of those allowed, or what went wrong."""
    width = max([len(name) for name in rows] + [8]) + 2
    lines = ["scenario".ljust(width) + "".join(f"{short(c):>14}" for c in columns)]
    for name, row in rows.items():
        lines.append(name.ljust(width) + "".join(f"{_cell(row.get(c)):>14}" for c in columns))
    return "\n".join([*lines, "", *_legend(rows)])


def short(release: str) -> str:
    """A release in a narrow column: without what a distribution adds to its number."""
    return re.split(r"[-+]", release)[0][:12]


def _cell(one: Comparison | None) -> str:
    if one is None or one.missing:
        return "-"
    return "FORBIDDEN" if one.forbidden else f"{one.seen} of {len(one.allowed)}"


def _legend(rows: Mapping[str, Mapping[str, Comparison]]) -> Iterator[str]:
    yield "1 of 2     so many of the outcomes that the model allows were seen, and no other"
    yield "FORBIDDEN  one was seen that the model does not allow"
    reasons = {(c.missing, c.remedy) for row in rows.values() for c in row.values() if c.missing}
    if reasons:
        yield "-          not there:"
        for missing, remedy in sorted(reasons):
            yield from _wrapped("", f"{missing}: {remedy}" if remedy else missing)


def summary(found: Iterable[Comparison]) -> str:
    """One line: how many were as the model says."""
    every = list(found)
    tried = [one for one in every if not one.missing]
    good = sum(one.ok for one in tried)
    absent = len(every) - len(tried)
    tail = f", {absent} not here" if absent else ""
    return f"{good} of {len(tried)} as the model allows{tail}"
