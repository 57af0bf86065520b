"""A page about a kernel: what it has, and how it behaves."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from refault.litmus.compare import counted
from refault.scenarios.questions import BUGS, NO, QUESTIONS, UNTRIED, YES, Question

WIDTH = 80
OPENED, LOOKED = "userfaultfd", "what else is here"
THINGS = {
    "system_call": (OPENED, "userfaultfd(2)"),
    "without_privilege": (OPENED, "without privileges"),
    "device": (OPENED, "/dev/userfaultfd"),
    "features": (OPENED, "features"),
    "absent_features": (OPENED, "features that it lacks"),
    "kvm": (LOOKED, "KVM"),
    "trace_events": (LOOKED, "trace events"),
    "function_tracer": (LOOKED, "function tracer"),
    "kprobes": (LOOKED, "kprobes"),
    "perf": (LOOKED, "page faults by perf"),
    "stacks": (LOOKED, "kernel stacks"),
    "frames": (LOOKED, "frames of pages"),
}
"""Where each part of the inventory stands on the page, and what it is called there."""


class Row(NamedTuple):
    """A line of the page.

    ``scenario`` explains it, empty for a part of the inventory. ``seen`` of ``runs`` had the
    answer. Where it could not be tried ``missing`` says why, and ``remedy`` what helps.
    """

    group: str
    text: str
    answer: str
    scenario: str = ""
    seen: int = 0
    runs: int = 0
    missing: str = ""
    remedy: str = ""


def programs() -> list[str]:
    """The scenarios to be performed, by id."""
    return [question.scenario for question in QUESTIONS]


def rows(answers: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The lines for the answers of ``refault.live.probe``, but for the first, in their order."""
    by_name = {answer["name"]: answer for answer in answers}
    found = [_thing(name, by_name[name]) for name in THINGS]
    found += [_row(question, by_name[question.scenario]) for question in QUESTIONS]
    found += [Row(u.group, u.text, "", u.scenario, 0, 0, u.missing, u.remedy) for u in UNTRIED]
    return found


def _thing(name: str, answer: Mapping[str, Any]) -> Row:
    group, text = THINGS[name]
    return Row(group, text, answer["answer"], "", 0, 0, answer["missing"], answer["remedy"])


def _row(question: Question, answer: Mapping[str, Any]) -> Row:
    head = (question.group, question.text)
    if not answer["outcomes"]:
        return Row(*head, "", question.scenario, 0, 0, answer["missing"], answer["remedy"])
    outcomes = counted(answer["outcomes"])
    seen = sum(outcomes.values()) and question.count(outcomes)
    return Row(*head, question.answer(outcomes), question.scenario, seen, outcomes.total())


def page(facts: Mapping[str, Any], found: Iterable[Row]) -> str:
    """The page, 80 columns wide."""
    lines = [f"kernel {facts['release']}, {facts['machine']}"]
    for group, members in groupby(found, key=lambda row: row.group):
        lines += ["", group]
        for row in members:
            lines += _bug(row) if group == BUGS else _line(row)
    lines += ["", "refault show NAME explains a line, refault live NAME tries it again."]
    return "\n".join(line.rstrip() for line in lines)


def _line(row: Row) -> Iterator[str]:
    return _columns(row, 28, row.answer)


def _bug(row: Row) -> Iterator[str]:
    return _columns(row, 36, _odds(row))


def _columns(row: Row, width: int, answer: str) -> Iterator[str]:
    """Text, answer and scenario in columns; a reason why there is no answer goes below."""
    why = f"{row.missing}; {row.remedy}" if row.remedy else row.missing
    room = WIDTH - 2 - width
    first, *more = _wrapped(answer, room) if answer or row.scenario else _wrapped(why, room)
    yield f"  {row.text:<{width}}{first}{row.scenario:>{room - len(first)}}"
    if why and row.scenario:
        more = _wrapped(why, room)
    for part in more:
        yield f"  {'':<{width}}{part}"


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, room, break_long_words=False, break_on_hyphens=False) or [""]


def _odds(row: Row) -> str:
    """Yes or no, with how often if it was tried more than once."""
    if row.runs <= 1 or row.answer not in (YES, NO):
        return row.answer
    if row.answer == NO:
        return f"not in {row.runs:,}"
    return f"yes, 1 in {round(row.runs / row.seen):,}"
