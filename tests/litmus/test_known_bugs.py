"""Litmus tests of known bugs: the model allows the bug, and with its repair it does not."""

from __future__ import annotations

import pytest

from refault.litmus.model import allowed
from refault.litmus.program import said
from refault.scenarios import find


def outcomes(id: str, variant: str = "") -> set[str]:
    scenario = find(id)
    assert scenario.live is not None
    return {said(outcome) for outcome in allowed(scenario.live, variant).outcomes}


@pytest.mark.parametrize(
    ("id", "repair", "bug"),
    [
        ("live-unregister-protected", "with unregister_wakes_all_modes", "status='S "),
        ("live-unregister-races", "with unregister_wakes_last", "status='S "),
        ("live-unregister-races", "6.1", "status='S "),
        ("live-result-unwritable", "with wake_despite_efault", "status='S "),
        ("live-unprotected-in-part", "with wp_wakes_on_error", "status='S "),
        ("live-poison-races", "with must_wait_poison", "status='S "),
        ("live-zeropage-then-store", "with must_wait_ptl", "status='S "),
        ("live-zero-page-unprotected", "with must_wait_uffd_wp", "status='S "),
        ("live-move-races", "with move_err_reset", "move=-EEXIST"),
        ("live-move-races", "6.17", "move=-EEXIST"),
        ("live-protected-for-nobody", "without uffd_mfill_vma_lock", "protection=wp"),
        ("live-registered-anew", "with copy_retry_state", "filled=4096"),
        ("live-registered-anew", "7.1", "filled=4096"),
    ],
)
def test_a_repair_takes_the_bug_away(id: str, repair: str, bug: str) -> None:
    assert [outcome for outcome in outcomes(id) if bug in outcome]
    assert not [outcome for outcome in outcomes(id, repair) if bug in outcome]


def test_a_lost_message_is_told_again_after_a_wake_up() -> None:
    (outcome,) = outcomes("live-message-lost")
    assert "read_nowhere=-EFAULT read=none" in outcome
    assert "wake=0 read2='read p'" in outcome


def test_merging_takes_the_protection_away() -> None:
    (outcome,) = outcomes("live-merging-unprotects")
    assert outcome.endswith("protection='not wp' store=stored read=none")


def test_a_close_that_leaves_pages_protected_is_an_old_one() -> None:
    assert outcomes("live-close-protected") == {"before=wp close=0 protection='not wp'"}
    assert outcomes("live-close-protected", "6.8") == {"before=wp close=0 protection=wp"}
