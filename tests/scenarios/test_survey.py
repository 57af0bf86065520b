"""Versions against scenarios: what is not searched again is as if it had been."""

from __future__ import annotations

import pytest

from refault.explore import UserError
from refault.patches import releases
from refault.scenarios import find
from refault.scenarios.survey import LONG_TERM, Survey, at, columns

VERSIONS = (*LONG_TERM, "5.13", "5.14")
"""The last two have no patch between them."""

STORIES = ("resolved-before-enqueue", "eexist-wakes-nobody", "writer-dontneed", "writer-mprotect")


@pytest.mark.parametrize("id", STORIES)
def test_a_verdict_that_is_not_searched_again_is_the_same(id: str) -> None:
    survey = Survey(find(id))
    for version in VERSIONS:
        assert survey.cell(version).verdict == str(find(id).check(version))
    assert survey.searches < len(VERSIONS)


def test_the_patch_that_ends_the_drawing_is_named() -> None:
    *_, change = Survey(find("resolved-before-enqueue")).changes(releases(), {})
    assert (change.older, change.newer) == ("5.17", "5.18")
    assert (change.before.verdict, change.after.verdict) == ("lost wakeup", "holds")
    assert [patch.name for patch in change.patches] == ["wp_drain_lru"]


def test_without_that_patch_the_next_one_is_named() -> None:
    also = {"wp_drain_lru": False}
    (change,) = Survey(find("resolved-before-enqueue")).changes(("5.17", "5.18", "5.19"), also)
    assert [patch.name for patch in change.patches] == ["anon_exclusive"]


def test_a_patch_is_there_or_not_whatever_the_version_has() -> None:
    assert at("5.19", {"anon_exclusive": True}) == "5.19"
    assert at("5.18", {"anon_exclusive": True}) == "5.18, with anon_exclusive"
    assert at("5.19", {"anon_exclusive": False}) == "5.19, without anon_exclusive"


def test_versions_by_name_and_range() -> None:
    assert columns("5.18..6.1") == ("5.18", "5.19", "6.0", "6.1")
    assert columns("6.1,5.4, 6.1") == ("6.1", "5.4")
    assert columns("all") == releases()
    assert columns("7.2..") == ("7.2", "7.3")
    with pytest.raises(UserError, match=r"6\.1 is after 5\.4"):
        columns("6.1..5.4")
    with pytest.raises(UserError, match="no version"):
        columns(",")
    with pytest.raises(UserError, match=r"6\.111"):
        columns("6.111")
