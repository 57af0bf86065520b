"""What was claimed, whether it is so, and what shows it, as ``refault claims`` prints it.

    53  depends    The drawing can happen: ...
                   LKML 2020-12-21, Nadav Amit, in reply to Peter Xu
                   yes  lost wakeup  resolved-before-enqueue 5.10  (5.9 to 5.17)
                   no   holds        resolved-before-enqueue  (6.18, as drawn)

A case says *yes* if its verdict supports the claim, *no* if it does not, ``?`` where it has none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

from refault.scenarios.claims import Judgement
from refault.scenarios.claims.claim import Answer, Found

from .lines import name
from .text import ascii_text, wrap

WIDTH = 80
INDENT = 15


def text(judgement: Judgement, width: int = WIDTH) -> str:
    """The lines of one claim: what it says, who said it, and each case."""
    claim = judgement.claim
    said = wrap(ascii_text(claim.text), width, indent=INDENT, hang=INDENT)
    head = f"{claim.id:<4}{judgement.verdict:<{INDENT - 4}}"
    lines = [head + said[0][INDENT:], *said[1:]]
    lines += wrap(ascii_text(claim.source), width, indent=INDENT, hang=INDENT)
    wide = max((len(f.verdict) for f in judgement.found), default=0)
    for found in judgement.found:
        lines += _case(found, wide, width)
    return "\n".join(lines)


def _case(found: Found, wide: int, width: int) -> list[str]:
    answer = "?" if found.open else "yes" if found.supports else "no"
    what = name(found.case.scenario, found.case.variant)
    tail = "; ".join(filter(None, (found.case.when, found.reason)))
    told = f"{what}  ({tail})" if tail else what
    lead = f"{'':{INDENT}}{answer:<4} {found.verdict:<{wide}}  "
    lines = wrap(ascii_text(told), width, indent=len(lead), hang=len(lead) + 2)
    return [lead + lines[0][len(lead) :], *lines[1:]]


def summary(judgements: Sequence[Judgement]) -> str:
    """The line of totals."""
    count = Counter(j.verdict for j in judgements)
    parts = [f"{count[k]} {k}" for k in get_args(Answer) if count[k]]
    return f"{len(judgements)} claims: {', '.join(parts)}" if parts else "no claims"


def plain(judgement: Judgement) -> dict[str, Any]:
    """One claim as ``refault claims --json`` gives it."""
    claim = judgement.claim
    return {
        "id": claim.id,
        "source": claim.source,
        "text": claim.text,
        "verdict": judgement.verdict,
        "scenarios": [
            {
                "scenario": found.case.scenario,
                "variant": found.case.variant,
                "when": found.case.when,
                "verdict": found.verdict,
                "supports": None if found.open else found.supports,
                "reason": found.reason,
            }
            for found in judgement.found
        ],
    }
