"""Litmus tests on the running kernel: it does nothing that the model forbids."""

from __future__ import annotations

import pytest

from refault.litmus.model import allowed
from refault.litmus.model.operations import OPERATIONS as MODELLED
from refault.litmus.program import said
from refault.live.facts import gather, variant
from refault.live.play import observe
from refault.live.play.looks import LOOKS
from refault.live.play.operations import OPERATIONS
from refault.scenarios import Scenario, all_scenarios, live_refused, live_signals

FAMILIES = {s.id for s in (*live_refused.FAMILY.values(), *live_signals.FAMILY.values())}
"""Those of ``test_signals.py``."""

SCENARIOS = [s for s in all_scenarios() if s.live is not None and s.id not in FAMILIES]


def test_model_and_kernel_can_do_the_same() -> None:
    assert {*OPERATIONS, *LOOKS} == set(MODELLED)


@pytest.mark.usefixtures("uffd_allowed")
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda s: s.id)
def test_nothing_is_observed_that_is_forbidden(scenario: Scenario) -> None:
    assert scenario.live is not None
    may = allowed(scenario.live, variant(gather())).outcomes
    seen = observe(scenario.live, 10)
    assert seen
    assert not [said(outcome) for outcome in seen if outcome not in may]
