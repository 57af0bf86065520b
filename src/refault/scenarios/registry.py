"""The catalogue: scenarios of all plug-ins, ours first."""

from __future__ import annotations

import difflib
import functools
from types import ModuleType

from refault.explore import UserError
from refault.plugins import collect

from .api import Scenario


def in_module(module: ModuleType) -> list[Scenario]:
    """The scenarios that a module defines, in the order of its text."""
    own = [s for s in vars(module).values() if isinstance(s, Scenario)]
    return sorted(own, key=lambda s: s.line)


@functools.cache
def all_scenarios() -> tuple[Scenario, ...]:
    """Every scenario of the catalogue. Two of one name are an error."""
    found: dict[str, Scenario] = {}
    for item in collect("refault_scenarios"):
        for s in in_module(item) if isinstance(item, ModuleType) else [item]:
            if s.id in found:
                raise UserError(
                    f"two scenarios are called {s.id}: {found[s.id].file}:{found[s.id].line} "
                    f"and {s.file}:{s.line}",
                    "give one of them another id=",
                )
            found[s.id] = s
    return tuple(found.values())


def find(id: str) -> Scenario:
    """The scenario called ``id``; underscores are as good as hyphens."""
    known = {s.id: s for s in all_scenarios()}
    wanted = id.replace("_", "-")
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    raise UserError(
        f"no scenario is called {id!r}",
        f"did you mean {', '.join(near)}?" if near else "`refault list` names them all",
    )
