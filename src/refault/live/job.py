"""A list of litmus tests, performed on whatever kernel this runs on.

``main`` takes and gives what JSON can hold, so that the same list can be sent to another machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from refault.litmus.program import Outcome, Program

from .abi import Unavailable
from .facts import gather
from .play import observe
from .puppet import TimedOut


def main(work: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Perform ``work["programs"]``, pairs of a name and a program, ``work["runs"]`` times each.

    Yields what the machine is, and then an answer for each program: its outcomes with their counts,
    or why there are none.
    """
    yield gather()
    for name, data in work["programs"]:
        answer: dict[str, Any] = {"name": name, "outcomes": [], "missing": "", "remedy": ""}
        try:
            seen = observe(
                Program.from_json(data), work["runs"], seed=work["seed"], spin=work["spin"]
            )
            answer["outcomes"] = _listed(seen)
        except Unavailable as error:
            answer |= {"missing": error.message, "remedy": error.remedy}
        except TimedOut as error:
            answer |= {"missing": str(error), "remedy": "try again on a machine with less to do"}
        yield answer


def _listed(seen: Counter[Outcome]) -> list[Any]:
    return [[[list(pair) for pair in outcome], count] for outcome, count in seen.items()]
