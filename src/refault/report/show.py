"""One scenario in full: its story, its source, the verdict, what it rests on, the diagram."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING

from .diagram import WIDTH
from .lines import expectation, name
from .mail import mail
from .text import ascii_text, prefixed, wrap

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from refault.explore.verdict import Evidence, Verdict

    from .lines import Expected


def heading(scenario: str, variant: str, prefix: str = "") -> str:
    """Return the title line, underlined."""
    title = name(scenario, variant)
    return prefixed([title, "=" * len(title)], prefix)


def story(
    doc: str, source: str, claims: Sequence[str], prefix: str = "", width: int = WIDTH
) -> str:
    """Return the claim of a scenario as paragraphs, and below it who made it and where."""
    room = width - len(prefix)
    lines: list[str] = []
    for paragraph in inspect.cleandoc(doc).split("\n\n"):
        lines += [*wrap(ascii_text(paragraph), room), ""]
    if source:
        lines += wrap(ascii_text(f"source: {source}"), room, hang=2)
    if claims:
        lines += wrap(f"claims: {', '.join(claims)}", room, hang=2)
    return prefixed(lines, prefix)


def verdict_text(verdict: Verdict, ok: bool | None, expected: Expected) -> str:
    """Return the verdict as a sentence: what came out, and whether that was expected."""
    if verdict.kind == "inconclusive":
        return f"inconclusive: {verdict.reason}"
    if ok is None:
        return f"{verdict}"
    if ok:
        return f"{verdict}, as expected"
    return f"{verdict}, NOT as expected (expected {expectation(expected)})"


def findings(
    verdict: Verdict, kept: Sequence[str], prefix: str = "", width: int = WIDTH
) -> Iterator[str]:
    """Yield each finding as it would be posted; ``kept`` has the file of each, or ``""``."""
    for number, (finding, trace) in enumerate(verdict.findings):
        if trace is not None:
            path = kept[number] if number < len(kept) else ""
            yield mail(trace, replay=path, prefix=prefix, width=width)
        else:
            from .mail import diagnosis

            yield diagnosis(finding, prefix=prefix, width=width)


def evidence_text(evidence: Evidence, prefix: str = "", width: int = WIDTH) -> str:
    """Say what was explored, and what could make the verdict wrong."""
    parts = [
        f"{evidence.states} states",
        f"{evidence.transitions} transitions",
        f"{evidence.terminals} terminal states",
        f"depth {evidence.depth}",
        f"{evidence.seconds:.2f} s",
        f"reduction: {evidence.reduction}",
        f"chance of a fingerprint collision below {_upper(evidence.collision)}",
    ]
    parts += [f"bounded by {bound}" for bound in evidence.bounds]
    return prefixed(wrap(f"evidence: {'; '.join(parts)}", width - len(prefix), hang=2), prefix)


def _upper(probability: float) -> str:
    return f"{probability:.0e}" if probability > 0 else "1e-18"
