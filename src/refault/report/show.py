"""One scenario in full: its story, its source, the verdict, what it rests on, the diagram."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from .diagram import WIDTH
from .lines import name
from .mail import diagnosis, mail
from .text import ascii_text, prefixed, prose, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refault.explore.verdict import Evidence, Verdict


def heading(scenario: str, variant: str, prefix: str = "") -> str:
    """Return the title line, underlined."""
    title = name(scenario, variant)
    return prefixed([title, "=" * len(title)], prefix)


def story(doc: str, source: str, prefix: str = "", width: int = WIDTH) -> str:
    """Return the claim of a scenario as paragraphs, and below it who made it and where."""
    room = width - len(prefix)
    paragraphs = [prose(text) for text in doc.split("\n\n")]
    lines = [line for text in filter(None, paragraphs) for line in [*wrap(text, room), ""]]
    if source:
        lines += wrap(ascii_text(f"source: {source}"), room, hang=2)
    return prefixed(lines if source else lines[:-1], prefix)


def verdict_text(verdict: Verdict, *, ok: bool, expected: str) -> str:
    """Return the verdict as a sentence: what came out, and whether that was expected."""
    if verdict.kind == "inconclusive":
        return f"inconclusive: {verdict.reason}"
    if not expected:
        return str(verdict)
    return f"{verdict}, " + ("as expected" if ok else f"NOT as expected (expected {expected})")


def findings(
    verdict: Verdict, kept: Sequence[str], prefix: str = "", width: int = WIDTH
) -> Iterator[str]:
    """Yield each finding as it would be posted; ``kept`` has the file of each, or ``""``."""
    for number, (finding, trace) in enumerate(verdict.findings):
        if trace is None:
            yield diagnosis(finding, prefix=prefix, width=width)
            continue
        path = kept[number] if number < len(kept) else ""
        yield mail(trace, replay=path, prefix=prefix, width=width)
        if not trace.minimal:
            yield prefixed(["A limit was met before the simplest schedule was found."], prefix)


def evidence_text(evidence: Evidence, prefix: str = "", width: int = WIDTH) -> str:
    """Say what was explored, and what could make the verdict wrong."""
    parts = [
        *_explored(evidence),
        f"depth {evidence.depth}",
        f"{evidence.seconds:.2f} s",
        *([f"{evidence.workers} workers"] if evidence.workers > 1 else []),
        f"reduction: {evidence.reduction}",
    ]
    if evidence.states:
        parts.append(f"chance of a fingerprint collision below {_upper(evidence.collision)}")
    parts += [f"search not complete: {bound}" for bound in evidence.bounds]
    return prefixed(wrap(f"evidence: {'; '.join(parts)}", width - len(prefix), hang=2), prefix)


def _explored(evidence: Evidence) -> list[str]:
    """Say how much was seen, in the terms of the engine that gave the verdict."""
    transitions = _count(evidence.transitions, "transition")
    if evidence.engine == "traces":
        return [_count(evidence.traces, "execution"), transitions]
    terminals = _count(evidence.terminals, "terminal state")
    return [_count(evidence.states, "state"), transitions, terminals]


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _upper(probability: float) -> str:
    """Round up to one digit: it is a bound."""
    if probability <= 0:
        return "1e-18"
    exponent = math.floor(math.log10(probability))
    return f"{math.ceil(probability / 10.0**exponent) * 10.0**exponent:.0e}".replace("e-0", "e-")
