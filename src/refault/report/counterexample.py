"""Counterexamples as JSON files: kept in ``.refault/``, mailed, and replayed on another machine.

A file holds all that the diagram needs, so it can be read without the model; the schedule in it is
what ``refault replay`` runs through the model again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
from pathlib import Path
from typing import Any

import msgspec

from refault import __version__
from refault.explore.errors import UserError
from refault.explore.trace import Finding, Trace
from refault.explore.verdict import Evidence

FORMAT = 1
TOOL = "refault"
_AGAIN = "check the scenario again, or ask for the whole file"
_OURS = "replay takes the JSON files that 'refault check' keeps in .refault/"


class Counterexample(msgspec.Struct, frozen=True, kw_only=True):
    """One finding of one scenario and variant, with the schedule that leads to it.

    ``file`` is set for scenarios that are not in the catalogue: where the file was, with
    ``sha256`` of what it said then. ``expected`` is null where the scenario does not say.
    """

    tool: str = TOOL
    format: int = FORMAT
    version: str = __version__
    scenario: str
    variant: str = ""
    file: str | None = None
    sha256: str | None = None
    expected: str | None = None
    finding: Finding
    trace: Trace
    evidence: Evidence | None = None

    def save(self, directory: str | Path, number: int = 0) -> Path:
        """Write the file into ``directory``, all of it or nothing, and return its path.

        ``number`` tells the findings of one check apart; the first has the plain name.
        """
        folder = Path(directory)
        folder.mkdir(parents=True, exist_ok=True)
        ignore = folder / ".gitignore"
        if not ignore.exists():
            write_atomically(ignore, b"*\n")
        suffix = f".{number + 1}" if number else ""
        path = folder / f"{slug(self.scenario, self.variant)}{suffix}.json"
        write_atomically(path, _pretty(self))
        return path

    def explain(self, again: Trace) -> Trace:
        """Return ``again``, the same schedule replayed, with what explains the recorded run.

        Where it no longer ends in the same finding, that explains nothing.
        """
        known = self.trace
        if again.schedule != known.schedule or again.finding != self.finding:
            return again
        return msgspec.structs.replace(
            again,
            orders=known.orders,
            inevitable=known.inevitable,
            missed=known.missed,
            unexplained=known.unexplained,
        )


class _Head(msgspec.Struct):
    """What must be right before the rest of a file means anything."""

    tool: str
    format: int
    version: str


def load(path: str | Path) -> Counterexample:
    """Read a counterexample; ``UserError`` says what is wrong with any other file."""
    name = str(path)
    try:
        text = Path(path).read_bytes()
    except OSError as e:
        raise UserError(f"{name}: {e.strerror}", "give the path of a counterexample file") from None
    _check_json(name, text)
    _check_head(name, text)
    try:
        return msgspec.json.decode(text, type=Counterexample)
    except msgspec.ValidationError as e:
        raise UserError(f"{name}: damaged counterexample: {e}", _AGAIN) from None


def _check_json(name: str, text: bytes) -> None:
    ours = f'"tool": "{TOOL}"'.encode() in text[:100]
    try:
        msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError) as e:
        if not text.strip():
            raise UserError(f"{name}: the file is empty", _AGAIN) from None
        if ours or "truncated" in str(e):
            raise UserError(f"{name}: the file is cut short or damaged: {e}", _AGAIN) from None
        raise UserError(f"{name}: not a JSON file: {e}", _OURS) from None


def _check_head(name: str, text: bytes) -> None:
    try:
        head = msgspec.json.decode(text, type=_Head)
    except msgspec.ValidationError:
        raise UserError(f"{name}: not a counterexample of refault", _OURS) from None
    if head.tool != TOOL:
        raise UserError(f"{name}: written by {head.tool!r}, not by refault", _OURS)
    if (head.format, head.version) != (FORMAT, __version__):
        raise UserError(
            f"{name}: written by refault {head.version} (format {head.format}), "
            f"this is refault {__version__} (format {FORMAT})",
            "check the scenario again with this version"
            + (f", or install refault=={head.version}" if head.version != __version__ else ""),
        )


def _pretty(example: Counterexample) -> bytes:
    """Encode with one fact or event on a line: such a file can be read, quoted and compared."""
    plain = msgspec.to_builtins(example)
    trace = plain["trace"]
    trace["events"] = [{k: v for k, v in e.items() if v != ""} for e in trace["events"]]
    return f"{_object(plain)}\n".encode()


def _object(fields: dict[str, Any], indent: str = " ") -> str:
    lines = (f"{indent}{_json(key)}: {_value(value, indent)}" for key, value in fields.items())
    return "{\n" + ",\n".join(lines) + f"\n{indent[1:]}}}"


def _value(value: Any, indent: str) -> str:
    deeper = f"{indent} "
    if isinstance(value, dict):
        return _object(value, deeper)
    if isinstance(value, list | tuple) and any(isinstance(item, dict) for item in value):
        items = ",\n".join(f"{deeper}{_json(item)}" for item in value)
        return f"[\n{items}\n{indent}]"
    return _json(value)


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def slug(scenario: str, variant: str) -> str:
    """Make a file name of a scenario and a variant: ``eexist@without-a,with-b``.

    What may trouble a shell or a file system becomes ``-``, and then a few digits of a hash tell
    such names apart.
    """
    exact = f"{scenario}@{variant}" if variant else scenario
    tidy = exact.replace(", ", ",").replace(" ", "-")
    name = re.sub(r"[^A-Za-z0-9._@,-]+", "-", tidy).strip("-.")[:120] or "scenario"
    return name if name == tidy else f"{name}.{hashlib.sha256(exact.encode()).hexdigest()[:6]}"


def file_digest(path: str | Path) -> str:
    """Return the SHA-256 of a file, in hex."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that no reader, and no crash, ever meets half of it."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with temporary.open("wb") as out:
            out.write(content)
            out.flush()
            os.fsync(out.fileno())
        temporary.replace(path)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
