"""refault: an executable model of Linux's page-fault machinery, and its model checker.

As a library: ``refault.check(scenario)`` returns a ``Verdict``; ``assert_holds()`` and
``assert_finds("lost wakeup")`` make a test of one line whose failure message is the diagram.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from refault.explore import Verdict
    from refault.scenarios import Scenario, scenario
    from refault.scenarios.api import Story

__all__ = ["Scenario", "Verdict", "check", "scenario"]


def check(scenario: Scenario | Story | str, variant: str = "", **limits: Any) -> Verdict:
    """Explore every interleaving of a scenario and return the verdict.

    ``scenario`` is one made by ``@refault.scenario``, a function that takes a kernel, or the id
    of one in the catalogue; ``limits`` are those of ``refault.explore.check``.
    """
    from refault.report import diagram  # noqa: PLC0415
    from refault.scenarios import Scenario, find  # noqa: PLC0415
    from refault.scenarios.api import from_function  # noqa: PLC0415

    if isinstance(scenario, str):
        scenario = find(scenario)
    if not isinstance(scenario, Scenario):
        scenario = from_function(scenario)
    verdict = scenario.check(variant, **limits)
    verdict.render = diagram
    return verdict


def __getattr__(name: str) -> Any:
    """Load the rest on first use: the command line must start in no time."""
    if name in ("Scenario", "scenario"):
        from refault import scenarios  # noqa: PLC0415

        return getattr(scenarios, name)
    if name == "Verdict":
        from refault.explore import Verdict  # noqa: PLC0415

        return Verdict
    raise AttributeError(f"module 'refault' has no attribute {name!r}")
