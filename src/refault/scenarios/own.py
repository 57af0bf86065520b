"""Our own catalogue, through the door that third parties use."""

from __future__ import annotations

from types import ModuleType

from refault.plugins import hookimpl
from refault.scenarios import (
    litmus_uffd_wp,
    seed004_drawing,
    seed004_monitor,
    seed004_order,
    seed004_wp,
    seed004_writers,
)


@hookimpl
def refault_scenarios() -> list[ModuleType]:
    """Return the modules of the catalogue, in the order in which to list them."""
    return [
        seed004_drawing,
        seed004_order,
        seed004_monitor,
        seed004_writers,
        seed004_wp,
        litmus_uffd_wp,
    ]
