"""What was observed, against what the model allows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from .program import Outcome


class Comparison(NamedTuple):
    """A scenario on one kernel.

    ``observed`` counts outcomes, ``allowed`` are those of the model at ``variant``. Where nothing
    could be observed ``missing`` says why, and ``remedy`` what helps.
    """

    scenario: str
    kernel: str
    variant: str
    observed: Counter[Outcome]
    allowed: frozenset[Outcome]
    missing: str = ""
    remedy: str = ""

    @property
    def runs(self) -> int:
        """How often it was run."""
        return self.observed.total()

    @property
    def forbidden(self) -> tuple[Outcome, ...]:
        """What was observed and is not allowed, the most frequent first."""
        return tuple(o for o, _ in self.observed.most_common() if o not in self.allowed)

    @property
    def never(self) -> tuple[Outcome, ...]:
        """What is allowed and was never observed."""
        return tuple(sorted(o for o in self.allowed if o not in self.observed))

    @property
    def seen(self) -> int:
        """How many of the allowed outcomes were observed."""
        return len(self.allowed) - len(self.never)

    @property
    def ok(self) -> bool:
        """Whether there was something to see, and nothing of it forbidden."""
        return self.runs > 0 and not self.forbidden

    def to_json(self) -> dict[str, Any]:
        """The comparison as people's scripts read it."""
        return {
            "scenario": self.scenario,
            "kernel": self.kernel,
            "variant": self.variant,
            "observed": [
                {"outcome": dict(outcome), "count": count}
                for outcome, count in self.observed.most_common()
            ],
            "allowed": [dict(outcome) for outcome in sorted(self.allowed)],
            "forbidden_seen": [dict(outcome) for outcome in self.forbidden],
            "unavailable": self.missing,
        }


def counted(outcomes: Iterable[tuple[Iterable[Iterable[str]], int]]) -> Counter[Outcome]:
    """The counts of outcomes that have been through JSON."""
    found: Counter[Outcome] = Counter()
    for outcome, count in outcomes:
        found[tuple((label, value) for label, value in outcome)] += count
    return found


def common(outcomes: Iterable[Outcome]) -> Mapping[str, str]:
    """The values that all outcomes share, by label."""
    several = [dict(outcome) for outcome in outcomes]
    if not several:
        return {}
    return {k: v for k, v in several[0].items() if all(o.get(k) == v for o in several)}
