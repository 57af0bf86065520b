"""What ``docs/live.md`` shows: outcomes as they are printed, and the litmus tests there are."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

from refault.litmus.compare import Comparison
from refault.litmus.model import allowed
from refault.litmus.program import Outcome
from refault.report.live import HEADING, histogram, line, summary
from refault.report.probe import Row, page
from refault.scenarios import Scenario, all_scenarios, find, live_refused, live_signals

TOLD = "live-two-on-one-page"
KERNEL = "6.18.44"


def observed(name: str, *counts: tuple[dict[str, str], int]) -> Comparison:
    """A comparison of so many outcomes: those allowed, with changes."""
    program = find(name).live
    assert program is not None
    may = allowed(program, KERNEL).outcomes
    seen: Counter[Outcome] = Counter()
    for changes, count in counts:
        first = max(may)
        seen[tuple((label, changes.get(label, value)) for label, value in first)] += count
    return Comparison(name, KERNEL, KERNEL, seen, may)


def printed(one: Comparison) -> str:
    """What the command prints of one scenario."""
    head = f"kernel {one.kernel}, model {one.variant}\n\n{HEADING}\n{line(one)}\n"
    return f"```text\n{head}\n{histogram(one)}\n\n{summary([one])}\n```\n"


def live_allowed() -> str:
    """Outcomes that are allowed, both of them seen."""
    return printed(observed(TOLD, ({}, 982), ({"load": "7"}, 18)))


def live_forbidden() -> str:
    """An outcome that is not allowed."""
    return printed(observed(TOLD, ({}, 19), ({"status": "S handle_userfault"}, 1)))


def live_probe() -> str:
    """The page of ``refault probe``, as it was recorded on a kernel."""
    recorded = json.loads((Path(__file__).parents[1] / "report" / "probe.json").read_text())
    found = [Row(**row) for row in recorded["rows"]]
    return f"```text\n{page(recorded['kernel'], found)}\n```\n"


def live_tests() -> str:
    """The litmus tests of the catalogue, by the module that tells them."""
    told = (*live_signals.FAMILY.values(), *live_refused.FAMILY.values())
    tests = [s for s in all_scenarios() if s.live is not None and s not in told]
    rows = ["| litmus test | what it shows |", "|---|---|", *map(_row, tests)]
    count = f"{len(tests)} litmus tests are in the catalogue, and {len(told)} of signals"
    return "\n".join([f"{count} ([signals.md](signals.md)).", "", *rows]) + "\n"


def _row(scenario: Scenario) -> str:
    return f"| `{scenario.id}` | {scenario.title} |"
