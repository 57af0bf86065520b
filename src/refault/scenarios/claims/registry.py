"""The claims of all plug-ins, ours first."""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence

from refault.explore import UserError
from refault.plugins import collect

from .claim import Claim


@functools.cache
def all_claims() -> tuple[Claim, ...]:
    """Every claim, by number, questions last. Two of one number are an error."""
    found: dict[str, Claim] = {}
    for claim in collect("refault_claims"):
        if claim.id in found:
            raise UserError(f"two claims have the number {claim.id}", "give one another id")
        found[claim.id] = claim
    return tuple(sorted(found.values(), key=lambda c: c.order))


def find_claims(names: Sequence[str]) -> list[Claim]:
    """The claims that are named: ``50``, ``Q12``, ``12-28``, ``uffd`` (part of a source)."""
    if not names:
        return list(all_claims())
    found = [claim for name in names for claim in _named(name)]
    return list({claim.id: claim for claim in found}.values())


def _named(name: str) -> list[Claim]:
    match = re.fullmatch(r"([Qq]?)(\d+)(?:(?:-|\.\.)[Qq]?(\d+))?", name)
    if match:
        question, first, last = bool(match[1]), int(match[2]), int(match[3] or match[2])
        wanted = [(question, number) for number in range(first, last + 1)]
        found = [claim for claim in all_claims() if claim.order in wanted]
    else:
        found = [c for c in all_claims() if name.lower() in f"{c.source} {c.text}".lower()]
    if not found:
        raise UserError(
            f"no claim is called {name!r}", "`refault claims` lists them all, by their numbers"
        )
    return found
