"""The families of litmus tests on the running kernel: it does nothing that the model forbids."""

from __future__ import annotations

import pytest

from refault.litmus.model import allowed
from refault.litmus.program import said
from refault.live.abi import Unavailable
from refault.live.facts import gather, variant
from refault.live.play import observe
from refault.scenarios import Scenario, live_refused, live_signals

pytestmark = pytest.mark.usefixtures("uffd_allowed")

SPIN = 0.02
"""Seconds of a CPU after which a thread spins: a copy of a page takes millionths of one."""

OFTEN = {
    (origin, signal)
    for origin in ("load", "pipe-write", "futex", "guest-load", "emulated-load")
    for signal in ("usr1", "stop", "kill")
} | {(origin, "alone") for origin in live_signals.ORIGINS}
"""What is looked at always: each kind of wait, and each way to get there."""

SOME = [scenario for key, scenario in live_signals.FAMILY.items() if key in OFTEN]
OTHERS = [scenario for key, scenario in live_signals.FAMILY.items() if key not in OFTEN]
REFUSED = list(live_refused.FAMILY.values())


def forbidden(scenario: Scenario, runs: int) -> list[str]:
    """What is seen in so many runs and not allowed."""
    assert scenario.live is not None
    may = allowed(scenario.live, variant(gather())).outcomes
    try:
        seen = observe(scenario.live, runs, spin=SPIN)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    assert seen
    return [said(outcome) for outcome in seen if outcome not in may]


@pytest.mark.parametrize("scenario", SOME, ids=lambda s: s.id)
def test_a_signal_to_who_waits(scenario: Scenario) -> None:
    assert not forbidden(scenario, 2)


@pytest.mark.slow
@pytest.mark.parametrize("scenario", OTHERS, ids=lambda s: s.id)
def test_any_signal_to_anybody_who_waits(scenario: Scenario) -> None:
    assert not forbidden(scenario, 3)


@pytest.mark.parametrize("scenario", REFUSED, ids=lambda s: s.id)
def test_a_buffer_that_the_kernel_is_refused(scenario: Scenario) -> None:
    assert not forbidden(scenario, 2)


def test_a_machine_that_lacks_something_is_no_place_for_a_program() -> None:
    scenario = live_signals.FAMILY["load", "alone"]
    assert scenario.live is not None
    with pytest.raises(Unavailable, match="nobody knows what 'a pony' is"):
        observe(scenario.live._replace(needs=("a pony",)), 1)
