"""The pages of the project: their code blocks, their generated blocks, their links.

A ``console`` block is a session: each line that begins with ``$ `` is a command, and what follows
it, up to the next one, is what it prints. A block between ``<!-- generated: NAME -->`` and
``<!-- end -->`` is made by a function of ``tables``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from click.testing import CliRunner

from refault.cli import cli

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCED = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_GENERATED = re.compile(
    r"(?<=^<!-- generated: )(\w+)( -->\n)(.*?)(?=^<!-- end -->$)", re.MULTILINE | re.DOTALL
)
_SECONDS = re.compile(r"\b\d+\.\d\d(?=  |\s+s\b)")
_COUNTS = re.compile(
    r" +\d+ +\d+ +\d+\.\d\d(?=  )|^evidence: .*?(?=\n\n|\n```|\Z)", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced code block, without its fences."""

    language: str
    text: str

    @property
    def file(self) -> str:
        """The name that a first line like ``# name.py`` gives it."""
        named = re.match(r"# ([\w.]+\.py)\n", self.text)
        return named[1] if named else ""

    @property
    def body(self) -> str:
        """The text below that line."""
        return self.text.partition("\n")[2] if self.file else self.text


def blocks(text: str, language: str) -> list[Block]:
    """The code blocks of a page in one language."""
    return [Block(*match.groups()) for match in _FENCED.finditer(text) if match[1] == language]


def prose(text: str) -> str:
    """A page without its code blocks."""
    return _FENCED.sub("", text)


def generated(text: str) -> list[str]:
    """The names of the generated blocks of a page."""
    return [match[1] for match in _GENERATED.finditer(text)]


def same(one: str, other: str) -> bool:
    """Compare two pages but for what was counted and timed, which depends on engine and machine."""
    return _COUNTS.sub("", one) == _COUNTS.sub("", other)


def renewed(text: str, tables: dict[str, Callable[[], str]]) -> str:
    """Make a page anew: run its sessions, in the current folder, and generate its tables.

    A session in which only seconds differ is left as it was.
    """

    def session(match: re.Match[str]) -> str:
        if match[1] != "console":
            return match[0]
        new = "".join(transcript(match[2]))
        untimed = (_SECONDS.sub("", text) for text in (new, match[2]))
        return match[0] if len({*untimed}) == 1 else f"```console\n{new}```"

    def table(match: re.Match[str]) -> str:
        return f"{match[1]}{match[2]}{tables[match[1]]()}\n"

    return _FENCED.sub(session, _GENERATED.sub(table, text))


def commands(session: str) -> list[str]:
    """The command lines of a session; one that ends in a backslash goes on in the next line."""
    return re.findall(r"^\$ ((?:.*\\\n)*.*)$", session, re.MULTILINE)


def transcript(session: str) -> Iterator[str]:
    """Run the commands of a session and yield it with what they print now."""
    for command in commands(session):
        program, *words = shlex.split(command.replace("\\\n", " "))
        assert program == "refault", f"only refault is run, not {program}"
        result = CliRunner().invoke(cli, words, prog_name="refault")
        assert "Traceback" not in result.output
        assert result.exit_code in (0, 1), f"{command}: {result.output}"
        yield f"$ {command}\n"
        yield result.output
