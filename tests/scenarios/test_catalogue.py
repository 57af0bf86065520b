"""Every verdict that the catalogue expects, and every claim of the mail thread."""

from __future__ import annotations

import pytest

from refault.report import diagram
from refault.scenarios import Scenario, all_scenarios

CASES = [(s, variant) for s in all_scenarios() for variant in s.variants]


@pytest.mark.parametrize(("scenario", "variant"), CASES, ids=lambda x: getattr(x, "id", x or "-"))
def test_verdict(scenario: Scenario, variant: str) -> None:
    verdict = scenario.check(variant, time=60)
    verdict.render = diagram
    assert scenario.as_expected(verdict, variant), (
        f"expected {scenario.expected(variant)}\n{verdict._text()}"
    )


def test_each_scenario_tells_its_claim_and_its_source() -> None:
    for scenario in all_scenarios():
        assert scenario.doc.endswith(".")
        assert scenario.source
        assert scenario.expect
