"""Verdicts, and the evidence without which there is none."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Literal

from msgspec import Struct
from msgspec.structs import replace

from .memory import soft
from .trace import Finding, Trace

Kind = Literal["holds", "violated", "vacuous", "inconclusive"]

MAX_STATES = 50_000_000
MAX_SECONDS = 300.0


class Limits(Struct, frozen=True):
    """Bounds of a search: states, bytes that its process takes, seconds.

    An engine ends by itself at ``soft_memory``, a little below the bound; ``asked_memory`` is the
    bound that was asked for, if any: there may not be so much. See ``memory``.
    """

    max_states: int = MAX_STATES
    max_memory: int = sys.maxsize
    time: float = MAX_SECONDS
    asked_memory: int | None = None

    @property
    def soft_memory(self) -> int:
        """Where an engine ends, so that what comes after it fits below the bound."""
        return soft(self.max_memory)

    def with_(self, **bounds: int | float | None) -> Limits:
        """The same with some bounds changed, those that are not ``None``."""
        return replace(self, **{name: b for name, b in bounds.items() if b is not None})


class Evidence(Struct, frozen=True):
    """What a search has seen.

    ``engine`` says which search gave the verdict. ``states`` counts stored states (a reduced
    search stores fewer than it visits), ``traces`` complete executions, ``depth`` the longest
    path in steps. ``collision`` bounds the probability that two states shared a fingerprint and
    one was missed, ``liveness`` says what was done about runs that never end, ``restarts`` how
    often the reduction dropped an assumption and began again, ``workers`` how many searched at a
    time.
    """

    engine: str
    states: int
    transitions: int
    terminals: int
    traces: int
    seconds: float
    depth: int
    reduction: str
    collision: float
    bounds: tuple[str, ...]
    local_states: int
    table_misses: int
    restarts: int = 0
    liveness: str = ""
    workers: int = 1


class _Seal:
    """Only ``conclude`` has it, so only ``conclude`` makes verdicts."""


_SEAL = _Seal()


class Verdict:
    """The outcome of a check.

    ``findings`` lists each kind of broken property once, with a trace if one was replayed, the
    one with the fewest context switches first. ``counts`` says how many states or steps showed
    each kind.
    """

    def __init__(
        self,
        seal: _Seal,
        *,
        kind: Kind,
        findings: tuple[tuple[Finding, Trace | None], ...],
        evidence: Evidence,
        reason: str,
        counts: dict[str, int],
        terminals: frozenset[Any] | None,
    ) -> None:
        if seal is not _SEAL:
            raise TypeError("verdicts are made by a search, not by hand")
        self.kind = kind
        self.findings = findings
        self.evidence = evidence
        self.reason = reason
        self.counts = counts
        self.terminals = terminals
        self.about = ""
        self.render: Callable[[Trace], str] | None = None

    def __str__(self) -> str:
        if self.kind == "violated":
            return " + ".join(self.kinds)
        return self.kind

    def __repr__(self) -> str:
        return f"<verdict {self}: {self.evidence.states} states>"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The kinds of findings, the easiest to reach first."""
        return tuple(f.kind for f, _ in self.findings)

    @property
    def trace(self) -> Trace | None:
        """The counterexample with the fewest context switches."""
        return self.findings[0][1] if self.findings else None

    def _text(self) -> str:
        if self.kind in ("inconclusive", "vacuous"):
            return f"{self.kind}: {self.reason}"
        lines = [str(self)]
        for finding, trace in self.findings:
            lines.append(f"{finding.kind}: {finding.message}")
            lines += finding.detail
            if trace is not None and self.render is not None:
                lines += ["", self.render(trace)]
        return "\n".join(lines)

    def assert_holds(self) -> None:
        """Fail with the diagram unless the search was complete and found nothing."""
        if self.kind != "holds":
            raise AssertionError(f"expected it to hold, found {self._text()}")

    def assert_finds(self, *kinds: str) -> None:
        """Fail unless exactly these kinds of findings were made."""
        if self.kind != "violated" or set(self.kinds) != set(kinds):
            raise AssertionError(f"expected {' + '.join(kinds)}, found {self._text()}")


def conclude(
    *,
    complete: bool,
    reason: str,
    findings: tuple[tuple[Finding, Trace | None], ...],
    evidence: Evidence,
    counts: dict[str, int],
    terminals: frozenset[Any] | None = None,
    unreached: tuple[str, ...] = (),
) -> Verdict:
    """Make the verdict. *Holds* takes a complete search without findings: nothing else gives it.

    What was declared possible and never happened makes it *vacuous*.
    """
    kind: Kind
    if findings:
        kind = "violated"
    elif complete and unreached:
        kind = "vacuous"
        reason = f"never happened: {', '.join(unreached)}"
    elif complete and evidence.states + evidence.transitions + evidence.traces > 0:
        kind = "holds"
    else:
        kind = "inconclusive"
    return Verdict(
        _SEAL,
        kind=kind,
        findings=findings,
        evidence=evidence,
        reason=reason,
        counts=counts,
        terminals=terminals,
    )
