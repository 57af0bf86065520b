"""What is posted about a counterexample: the diagram, the diagnosis, and how to replay it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from .diagram import WIDTH, diagram
from .text import ascii_text, prefixed, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator

    from refault.explore.trace import Finding, Trace


def diagnosis(finding: Finding, *, prefix: str = "", width: int = WIDTH) -> str:
    """Say what is wrong, then who waits for what and why it does not come."""
    return prefixed(_diagnosis(finding, width - len(prefix)), prefix)


def _diagnosis(finding: Finding, room: int) -> Iterator[str]:
    head = f"{finding.kind}: {finding.message}" if finding.message else finding.kind
    yield from wrap(ascii_text(head), room, hang=2)
    for line in finding.detail:
        yield from wrap(ascii_text(line), room, indent=2, hang=4)


def mail(trace: Trace, *, replay: str = "", prefix: str = "", width: int = WIDTH) -> str:
    """Return diagram, diagnosis and, if ``replay`` names a file, the command that replays it.

    The command is never wrapped: it is there to be pasted.
    """
    parts = [
        diagram(trace, prefix=prefix, width=width),
        diagnosis(trace.finding, prefix=prefix, width=width),
    ]
    if replay:
        parts.append(f"{prefix}{replay_command(replay)}")
    return f"\n{prefix.rstrip()}\n".join(parts)


def replay_command(path: str) -> str:
    """Return the shell command that replays the counterexample in ``path``."""
    return f"refault replay {shlex.quote(path)}"
