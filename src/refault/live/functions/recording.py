"""What the function tracer has written down, as data: which functions, by whom, called by whom.

A data file is JSON, one for each kernel::

    {"kernel": "6.1.0-56-cloud-amd64", "version": "6.1.192", "machine": "…", "runs": 1,
     "asked": ["…"], "not_traceable": ["…"], "not_kept": {"monitor": ["schedule"]},
     "situations": {"first-touch": {"calls": ["faulter handle_mm_fault < do_user_addr_fault"]}}}

``asked`` are the functions that the tracer was told of, ``not_traceable`` those of them that this
build has no place for: it does not have them, or has inlined or marked them. A caller is the
function that the call returns into, so of inlined functions the one around them. ``not_kept`` are
functions left out for one kind of thread. A situation may say that it is ``cut`` (the recording
ends, the thread went on), that the tracer was asked for more (``also``), and of which functions
the insides were not written down (``leaves``).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from refault.errors import UserError


class Call(NamedTuple):
    """A function that a thread has entered, and where it returns to."""

    thread: str
    function: str
    caller: str

    def __str__(self) -> str:
        return f"{self.thread} {self.function} < {self.caller}"

    @classmethod
    def parse(cls, text: str) -> Call:
        """Return the call in ``THREAD FUNCTION < CALLER``."""
        thread, function, arrow, caller = text.split()
        if arrow != "<":
            raise ValueError(f"{text!r} is no call")
        return cls(thread, function, caller)


@dataclass(frozen=True)
class Situation:
    """The calls of one situation, of all threads in the order in which they were written down."""

    calls: tuple[Call, ...]
    also: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    cut: bool = False

    def threads(self) -> tuple[str, ...]:
        """The threads that called anything, in the order of their first call."""
        return tuple(dict.fromkeys(call.thread for call in self.calls))

    def of(self, thread: str) -> tuple[Call, ...]:
        """The calls of one thread."""
        return tuple(call for call in self.calls if call.thread == thread)


@dataclass(frozen=True)
class Recording:
    """All situations on one kernel; ``version`` is mainline's, ``kernel`` what ``uname`` says."""

    kernel: str
    version: str
    machine: str
    runs: int
    asked: tuple[str, ...]
    not_traceable: tuple[str, ...]
    not_kept: Mapping[str, tuple[str, ...]]
    situations: Mapping[str, Situation] = field(default_factory=dict)

    @property
    def release(self) -> str:
        """The version without the number of the stable release."""
        return ".".join(self.version.split(".")[:2])

    def visible(self, name: str, thread: str) -> frozenset[str]:
        """The functions that would have been written down of a thread in a situation."""
        asked = {*self.asked, *self.situations[name].also} - {*self.not_traceable}
        return frozenset(asked - {*self.not_kept.get(thread, ())})


def loads(text: str, source: str) -> Recording:
    """Return the recording in a data file's text; ``UserError`` that names the ``source``."""
    try:
        data = json.loads(text)
        return Recording(
            kernel=data["kernel"],
            version=data["version"],
            machine=data["machine"],
            runs=int(data["runs"]),
            asked=tuple(data["asked"]),
            not_traceable=tuple(data["not_traceable"]),
            not_kept={thread: tuple(names) for thread, names in data["not_kept"].items()},
            situations={name: _situation(found) for name, found in data["situations"].items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(
            f"{source} is no recording of functions: {type(error).__name__}: {error}",
            "record it anew: python -m refault.live.functions.record",
        ) from error


def _situation(data: Mapping[str, Any]) -> Situation:
    return Situation(
        calls=tuple(map(Call.parse, data["calls"])),
        also=tuple(data.get("also", ())),
        leaves=tuple(data.get("leaves", ())),
        cut=bool(data.get("cut", False)),
    )


def as_json(recording: Recording) -> dict[str, Any]:
    """Return what ``loads()`` reads; parts that say nothing are left out."""
    return {
        "kernel": recording.kernel,
        "version": recording.version,
        "machine": recording.machine,
        "runs": recording.runs,
        "asked": sorted(recording.asked),
        "not_traceable": sorted(recording.not_traceable),
        "not_kept": {thread: sorted(names) for thread, names in recording.not_kept.items()},
        "situations": {name: _as_json(found) for name, found in recording.situations.items()},
    }


def _as_json(situation: Situation) -> dict[str, Any]:
    said: dict[str, Any] = {"calls": list(map(str, situation.calls))}
    said |= {"also": list(situation.also)} if situation.also else {}
    said |= {"leaves": list(situation.leaves)} if situation.leaves else {}
    return said | ({"cut": True} if situation.cut else {})


def dumps(recording: Recording) -> str:
    """Return the text of a data file."""
    return json.dumps(as_json(recording), indent=1) + "\n"


def from_answers(
    answers: Iterable[Mapping[str, Any]], asked: Iterable[str], machine: str
) -> Recording:
    """Make a recording of what ``record.main()`` has yielded, of the situations that it could."""
    first, *others = answers
    return Recording(
        kernel=first["kernel"],
        version=version_of(first["kernel"], first["built"]),
        machine=machine,
        runs=1,
        asked=tuple(sorted(asked)),
        not_traceable=tuple(first["not_traceable"]),
        not_kept={},
        situations={one["situation"]: _situation(one) for one in others if "calls" in one},
    )


def version_of(release: str, built: str) -> str:
    """Mainline's version of a kernel: Debian says it in the text of when it was built."""
    exact = re.search(r"Debian (\d+\.\d+\.\d+)", built)
    found = exact or re.match(r"(\d+\.\d+(?:\.\d+)?)", release)
    return found[1] if found else release


def read(path: Path) -> Recording:
    """Read a data file."""
    try:
        return loads(path.read_text(), str(path))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}", "name a file with a recording") from error


def recorded() -> dict[str, Recording]:
    """All recordings that come with this package, by release, the oldest kernel first."""
    folder = Path(__file__).with_name("data")
    found = [
        loads(file.read_text(), file.name) for file in folder.iterdir() if file.suffix == ".json"
    ]
    return {each.release: each for each in sorted(found, key=_age)}


def _age(recording: Recording) -> tuple[int, ...]:
    return tuple(int(number) for number in recording.version.split("."))
