"""The one door for scenarios and patches: ours and third parties' register alike.

A plug-in is a package with an entry point in the group ``refault``, naming a module that implements
some of these hooks with ``@refault.plugins.hookimpl``:

* ``refault_scenarios()`` returns modules (or ``Scenario`` objects) of the catalogue;
* ``refault_patches()`` returns patches of the model;
* ``refault_claims()`` returns claims that scenarios settle.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any

import pluggy

hookspec = pluggy.HookspecMarker("refault")
hookimpl = pluggy.HookimplMarker("refault")

OWN = ("refault.patches.own", "refault.scenarios.own", "refault.scenarios.claims.own")


class Hooks:
    """What a plug-in can provide."""

    @hookspec
    def refault_scenarios(self) -> list[Any]:
        """Modules that hold scenarios, or scenarios, in the order in which to list them."""
        raise NotImplementedError

    @hookspec
    def refault_patches(self) -> list[Any]:
        """Patches of the model."""
        raise NotImplementedError

    @hookspec
    def refault_claims(self) -> list[Any]:
        """Claims (``refault.scenarios.claims.Claim``), each with the scenarios that settle it."""
        raise NotImplementedError


@functools.cache
def manager() -> pluggy.PluginManager:
    """The plug-in manager: our own catalogue first, then entry points."""
    pm = pluggy.PluginManager("refault")
    pm.add_hookspecs(Hooks)
    for name in OWN:
        pm.register(importlib.import_module(name), name)
    pm.load_setuptools_entrypoints("refault")
    return pm


def collect(hook: str) -> list[Any]:
    """What all plug-ins return from ``hook``, ours first."""
    answers = getattr(manager().hook, hook)()
    return [item for answer in reversed(answers) for item in answer]
