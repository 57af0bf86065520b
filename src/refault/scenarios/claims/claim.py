"""A claim, its cases, and how they are judged."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from refault.patches import canonical

Answer = Literal["confirmed", "refuted", "depends", "open"]


@dataclass(frozen=True)
class Case:
    """A scenario in a variant, and the verdict it must have for the claim to be right.

    ``supports`` is ``holds``, or the kind of what is found, several joined by `` + ``; any other
    verdict speaks against the claim. ``when`` says in a few words what this case stands for.
    """

    scenario: str
    variant: str = ""
    supports: str = "holds"
    when: str = ""


@dataclass(frozen=True)
class Claim:
    """Something said or asked in a thread that its ``cases`` settle.

    ``id`` is a number, or ``Q`` and a number for a question; ``text`` the claim in a sentence (of
    a question: its answer "yes"). ``source`` says who said it, where and when. What is said to be
    so ``always`` is refuted by a single case.
    """

    id: str
    text: str
    source: str
    cases: tuple[Case, ...]
    always: bool = False

    @property
    def order(self) -> tuple[bool, int]:
        """Where it stands in a list: claims by number, then questions."""
        return self.id.startswith("Q"), int(self.id.removeprefix("Q"))


class Found(NamedTuple):
    """What came of a case: a verdict, and why there is none if so."""

    case: Case
    verdict: str
    reason: str = ""

    @property
    def open(self) -> bool:
        """Whether the case says nothing, for or against."""
        return self.verdict in ("inconclusive", "not modelled", "vacuous")

    @property
    def supports(self) -> bool:
        """Whether it speaks for the claim."""
        return not self.open and sorted(self.verdict.split(" + ")) == sorted(
            self.case.supports.split(" + ")
        )


class Judgement(NamedTuple):
    """A claim with what came of its cases."""

    claim: Claim
    found: tuple[Found, ...]

    @property
    def verdict(self) -> Answer:
        """*Confirmed* if every case supports it, *refuted* if none does, else it *depends*.

        It is *open* while a case has no verdict, or where there is no case.
        """
        if not self.found or any(f.open for f in self.found):
            return "open"
        good = sum(f.supports for f in self.found)
        if good == len(self.found):
            return "confirmed"
        return "depends" if good and not self.claim.always else "refuted"


def judge(claim: Claim, verdict: Callable[[str, str], tuple[str, str]]) -> Judgement:
    """Judge a claim; ``verdict`` gives verdict and reason of a scenario in a variant."""
    found = []
    for case in claim.cases:
        kind, reason = verdict(case.scenario, canonical(case.variant))
        found.append(Found(case, kind, reason))
    return Judgement(claim, tuple(found))
