"""Lines of a trace as typed records."""

from __future__ import annotations

import re
from typing import NamedTuple

_LINE = re.compile(r"\s*(.*)-(\d+)\s+\[(\d+)\]\s+(?:\S+\s+)?(\d+\.\d+): (.*)")
_EVENT = re.compile(r"([a-zA-Z_]\w*): ?(.*)")
_FIELD = re.compile(r"(\w+)=(.*?)(?=\s+\w+=|\s*==>|$)")
_CALL = re.compile(r"(\S+) <-(\S+)")
_LOST = re.compile(r"CPU:\d+ \[LOST (\d+) EVENTS\]")


class Record(NamedTuple):
    """One line of a trace: who, where, when (seconds of ``CLOCK_MONOTONIC``), and what.

    ``event`` is the event's name, ``function`` of the function tracer's lines (with the fields
    ``ip`` and ``parent_ip``, names both), empty of what is neither. ``fields`` are those written as
    ``name=value``. ``stack`` is the kernel stack, the innermost function first, if one asked.
    """

    comm: str
    pid: int
    cpu: int
    time: float
    event: str
    text: str
    fields: dict[str, str]
    stack: tuple[str, ...] = ()


class Parser:
    """Makes records of lines; a stack belongs to its thread's last record on that CPU."""

    def __init__(self) -> None:
        self.lost = 0
        self._rest = ""

    def feed(self, text: str) -> list[Record]:
        """Return the records of complete lines; what is left over waits for more."""
        *lines, self._rest = (self._rest + text).split("\n")
        found: list[Record] = []
        latest: dict[tuple[int, int], int] = {}
        stack_of = -1
        for line in lines:
            if line.startswith(" => "):
                if stack_of >= 0:
                    name = line[4:].split("+")[0].strip()
                    found[stack_of] = found[stack_of]._replace(stack=(*found[stack_of].stack, name))
            elif match := _LINE.fullmatch(line):
                record = _record(*match.groups())
                where = record.pid, record.cpu
                if record.text == "<stack trace>":
                    stack_of = latest.get(where, -1)
                else:
                    latest[where] = len(found)
                    found.append(record)
            elif match := _LOST.search(line):
                self.lost += int(match[1])
        return found


def _record(comm: str, pid: str, cpu: str, when: str, rest: str) -> Record:
    event, text, fields = "", rest, {}
    if match := _EVENT.fullmatch(rest):
        event, text = match[1], match[2]
        fields = dict(_FIELD.findall(text))
    elif match := _CALL.match(rest):
        event, fields = "function", {"ip": match[1], "parent_ip": match[2]}
    return Record(comm, int(pid), int(cpu), float(when), event, text, fields)
