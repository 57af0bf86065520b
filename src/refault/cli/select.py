"""Which checks a command line asks for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from refault.explore.errors import UserError
from refault.scenarios import Scenario, all_scenarios, load_file


class Job(NamedTuple):
    """One check to do: a scenario, a variant, and the file it came from if it has one."""

    scenario: Scenario
    variant: str
    file: str | None = None


def select(names: Sequence[str], variant: str | None) -> list[Job]:
    """Return the checks that ``names`` (all of the catalogue if empty) and ``variant`` mean.

    Without a variant these are the ones that the scenario states expectations for.
    """
    chosen: dict[tuple[str | None, str], tuple[Scenario, str | None]] = {}
    for name in names or ["*"]:
        for scenario, file in _named(name):
            chosen.setdefault((file, scenario.id), (scenario, file))
    if variant is None:
        return [Job(s, v, f) for s, f in chosen.values() for v in variants(s)]
    wanted = normal(variant)
    if not names:
        chosen = {key: (s, f) for key, (s, f) in chosen.items() if wanted in variants(s)}
        if not chosen:
            known = {v for s in all_scenarios() for v in variants(s)}
            raise UserError(
                f"no scenario has a variant {variant!r}", _near(wanted, known, "refault list")
            )
    return [Job(s, wanted, f) for s, f in chosen.values()]


def select_one(name: str, variant: str | None) -> Job:
    """Return the one check that ``show`` is asked for; without a variant, that of the base."""
    found = _named(name)
    if len(found) != 1:
        ids = ", ".join(s.id for s, _ in found)
        raise UserError(f"{name} has several scenarios: {ids}", "name one of them")
    ((scenario, file),) = found
    return Job(scenario, normal(variant or ""), file)


def variants(scenario: Scenario) -> list[str]:
    """Return the variants that a scenario states expectations for; the base if for none."""
    return [normal(v) for v in scenario.expect] or [""]


def normal(variant: str) -> str:
    """Write a variant as the catalogue does; ``""`` is the base."""
    spaced = ", ".join(" ".join(part.split()) for part in variant.split(","))
    return "" if spaced in ("6.18", "base") else spaced


def is_file(name: str) -> bool:
    """Tell a file name from the id of a scenario."""
    return "::" in name or "/" in name or name.endswith(".py")


def _named(name: str) -> list[tuple[Scenario, str | None]]:
    if is_file(name):
        path = name.partition("::")[0]
        return [(scenario, path) for scenario in load_file(name)]
    catalogue = all_scenarios()
    found = [s for s in catalogue if s.id == name or fnmatchcase(s.id, name)]
    if not found:
        hint = _near(name, [s.id for s in catalogue], "refault list")
        raise UserError(f"no scenario is called {name!r}", hint)
    return [(scenario, None) for scenario in found]


def _near(word: str, known: Iterable[str], otherwise: str) -> str:
    near = difflib.get_close_matches(word, sorted(known), n=3, cutoff=0.5)
    if not near:
        return f"'{otherwise}' shows all"
    return f"did you mean {' or '.join(map(repr, near))}?"
