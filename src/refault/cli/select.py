"""Which checks a command line asks for."""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple

from refault.explore.errors import UserError
from refault.patches import canonical
from refault.scenarios import Scenario, all_scenarios, find, load_file


class Job(NamedTuple):
    """One check to do: a scenario, a variant, and the file it came from if it has one."""

    scenario: Scenario
    variant: str
    file: str | None = None


def select(names: Sequence[str], variant: str | None) -> list[Job]:
    """Return the checks that ``names`` (all of the catalogue if empty) and ``variant`` mean.

    Without a variant these are the ones that the scenario states expectations for.
    """
    chosen = scenarios(names)
    if variant is None:
        return [Job(s, v, file) for s, file in chosen for v in variants(s)]
    wanted = canonical(variant)
    if not names:
        chosen = [(s, file) for s, file in chosen if wanted in variants(s)]
        if not chosen:
            raise UserError(f"no scenario has a variant {variant!r}", _near(wanted))
    return [Job(s, wanted, file) for s, file in chosen]


def select_one(name: str, variant: str | None) -> Job:
    """Return the one check that ``show`` is asked for; without a variant, that of the base."""
    found = scenarios([name])
    if len(found) != 1:
        ids = ", ".join(s.id for s, _ in found)
        raise UserError(f"{name} means several scenarios: {ids}", "name one of them")
    ((scenario, file),) = found
    return Job(scenario, canonical(variant or ""), file)


def check_variant(variant: str) -> None:
    """Raise ``UserError`` unless all patches of the variant are known here."""
    canonical(variant)


def scenarios(names: Sequence[str]) -> list[tuple[Scenario, str | None]]:
    """Return the scenarios that ``names`` mean, each once, with its file if it is from one."""
    found = [pair for name in names or ["*"] for pair in _named(name)]
    return list({(file, s.id): (s, file) for s, file in found}.values())


def variants(scenario: Scenario) -> list[str]:
    """Return the variants that a scenario states expectations for."""
    return [canonical(variant) for variant in scenario.variants]


def _named(name: str) -> list[tuple[Scenario, str | None]]:
    if "::" in name or "/" in name or name.endswith(".py"):
        return [(scenario, name.partition("::")[0]) for scenario in load_file(name)]
    if Path(name).is_file():
        raise UserError(
            f"{name} is a file, and no scenario is called so",
            "name a Python file with the ending .py, or a scenario: `refault list` names them",
        )
    matching = [s for s in all_scenarios() if fnmatchcase(s.id, name)]
    return [(scenario, None) for scenario in matching or [find(name)]]


def _near(variant: str) -> str:
    known = sorted({v for s in all_scenarios() for v in variants(s)})
    near = difflib.get_close_matches(variant, known, n=3, cutoff=0.4)
    if not near:
        return "'refault list' shows the variants of each"
    return f"did you mean {' or '.join(map(repr, near))}?"
