"""What ``refault mutate`` prints: a line per mutant, those that survive last, and a summary.

    status    kind      verdict             mutant
    killed    lock      lost wakeup         handle_userfault > spin_lock(...) not taken  (...:127)
    SURVIVED  re-check  holds               nothing in this scenario depends on ...  (...:94)

All that is said of a mutant stands in its line, so that ``grep`` finds all of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from refault.explore.mutate import Judged

HEADING = "status    kind      verdict                       mutant"


class Row(Struct, frozen=True):
    """What became of a mutant, as ``refault mutate --json`` gives it.

    ``verdict`` is that of the mutant, empty where there is none; ``reason`` says why, or, of one
    that survived, what is known about that.
    """

    mutant: str
    kind: str
    function: str
    place: str
    verdict: str
    status: str
    reason: str


def row(judged: Judged) -> Row:
    """Return the row of a mutant."""
    mutation = judged.mutation
    return Row(
        mutant=mutation.name,
        kind=mutation.kind,
        function=mutation.function,
        place=mutation.place,
        verdict=judged.verdict,
        status=judged.status,
        reason=judged.reason,
    )


def line(judged: Judged) -> str:
    """Return the line of a mutant; for one that survived, what that means."""
    mutation = judged.mutation
    survived = judged.status == "survived"
    status = judged.status.upper() if survived else judged.status
    text = f"nothing in this scenario depends on {mutation.point}" if survived else mutation.name
    tail = "; ".join(filter(None, (mutation.place, judged.reason)))
    return f"{status:<9} {mutation.kind:<9} {judged.verdict or '-':<29} {text}  ({tail})"


def summary(judged: Sequence[Judged], verdict: str) -> str:
    """Return the line of totals; ``verdict`` is that of the scenario as it is."""
    count = Counter(one.status for one in judged)
    told = count["killed"] + count["survived"]
    parts = [f"{count['killed']} killed", f"{count['survived']} survived"]
    parts += [f"{count[s]} {s}" for s in ("invalid", "undecided") if count[s]]
    score = f"mutation score {100 * count['killed'] / told:.0f} %" if told else "no mutation score"
    mutants = f"{len(judged)} mutant{'s' * (len(judged) != 1)}"
    return f"{mutants} of a scenario with the verdict {verdict!r}: {', '.join(parts)}; {score}"
