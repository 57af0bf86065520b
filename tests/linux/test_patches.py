"""Variants: their grammar, what they refuse, and that each patch makes a difference."""

from __future__ import annotations

import itertools
import re
from typing import Any

import pytest

from refault.explore import UserError
from refault.linux import modelled_function
from refault.patches import (
    BASE,
    Patch,
    PatchSet,
    all_patches,
    canonical,
    find,
    parse,
    releases,
    resolve,
)
from refault.scenarios import all_scenarios


@pytest.mark.parametrize("text", ["", "6.18", " ", " 6.18 , "])
def test_the_base_has_many_names_and_one_form(text: str) -> None:
    assert canonical(text) == ""
    assert not resolve(text)


def test_a_variant_is_the_same_in_any_order() -> None:
    one = canonical("with must_wait_ptl, without anon_exclusive")
    assert one == "without anon_exclusive, with must_wait_ptl"
    assert canonical(one) == one
    assert canonical("without anon-exclusive,with must_wait_ptl,with must_wait_ptl") == one


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("without anon_exclusiv", "no patch is called 'anon_exclusiv'", "anon_exclusive"),
        ("with anon_exclusive", "is in 6.18 already (since 5.19)", "without anon_exclusive"),
        ("without must_wait_ptl", "is not in 6.18", "with must_wait_ptl"),
        ("anon_exclusive", "'anon_exclusive' is not a variant", "with NAME"),
        (
            "with must_wait_uffd_wp, with must_wait_pte_present",
            "both replace pte_must_wait()",
            "only one",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_a_remedy(text: str, message: str, remedy: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        resolve(text)
    assert remedy in caught.value.remedy


def test_each_patch_says_what_it_is() -> None:
    for name, patch in all_patches().items():
        assert find(name) is patch
        assert patch.title
        assert patch.source
        assert patch.replaces.keys() <= {f for f in patch.replaces if modelled_function(f)}
        assert bool(patch.commit) == bool(patch.since) == (patch.kind in ("fix", "later fix"))
        assert resolve(patch.variant).patches == (patch,)


def test_each_patch_is_in_a_variant_of_the_catalogue() -> None:
    used = {p.name for s in all_scenarios() for v in s.variants for p in resolve(v).patches}
    assert used >= set(all_patches())


def _names(variant: str) -> set[str]:
    return {patch.name for patch in resolve(variant).patches}


def test_an_older_version_is_the_base_without_what_came_later() -> None:
    assert "per_vma_lock" in _names("6.1")
    assert "anon_exclusive" not in _names("6.1")
    assert not _names("6.18")
    assert _names("v5.10") == _names("5.10.0")
    assert _names("5.15") < _names("5.4")


def test_a_newer_version_has_the_later_fixes_and_no_proposal() -> None:
    assert "must_wait_pte_present" in _names("7.2")
    assert not any(find(name).kind == "proposal" for name in _names("7.2"))


def test_a_variant_may_differ_from_its_version() -> None:
    assert canonical("with anon-exclusive, 5.10") == "5.10, with anon_exclusive"
    assert "anon_exclusive" not in _names("5.10, with anon_exclusive")
    assert "must_wait_ptl" in _names("6.1, with must_wait_ptl")
    assert canonical("7.2, without must_wait_pte_present") == "7.2, without must_wait_pte_present"
    assert "must_wait_pte_present" not in _names("7.2, without must_wait_pte_present")


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("6.108", "no version of Linux is called '6.108'", "6.1"),
        ("5.20", "no version of Linux is called '5.20'", "5.2"),
        ("2.6", "no version of Linux is called '2.6'", "5.6"),
        ("6.1, 5.4", "a variant of several versions: 6.1, 5.4", "name one"),
        ("on x68", "no architecture is called 'x68'", "x86"),
        ("5.10, without anon_exclusive", "is not in 5.10", "with anon_exclusive"),
        ("5.19, with anon_exclusive", "is in 5.19 already (since 5.19)", "without anon_exclusive"),
    ],
)
def test_versions_and_architectures_that_are_not_there(
    text: str, message: str, remedy: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        resolve(text)
    assert remedy in caught.value.remedy


def _fix(name: str, since: str, function: str, **more: Any) -> Patch:
    return Patch(name, name, "fix", "a test", {function: print}, "c0ffee", since, **more)


def test_a_backport_counts_from_its_stable_release_on() -> None:
    fix = _fix("f", "6.5", "pte_must_wait", stable={"6.1": "6.1.37"})
    assert [parse(v).has(fix) for v in ("6.4", "6.5", "6.1", "6.1.36", "6.1.37", "6.2.9")] == [
        False,
        True,
        False,
        False,
        True,
        False,
    ]


def test_a_fix_older_than_all_versions_is_in_each_of_them() -> None:
    fix = _fix("f", "2.6.25", "pte_must_wait")
    assert all(parse(version).has(fix) for version in releases())


def test_of_two_patches_of_one_function_one_must_say_that_it_is_over_the_other() -> None:
    newer = _fix("newer", "6.5", "pte_must_wait")
    older = _fix("older", "6.1", "pte_must_wait", over=("newer",))
    rival = _fix("rival", "5.4", "pte_must_wait")
    assert PatchSet([newer, older])["pte_must_wait"] is older.replaces["pte_must_wait"]
    with pytest.raises(UserError, match="both replace"):
        PatchSet([newer, rival])


def _together(a: Patch, b: Patch) -> PatchSet | UserError:
    try:
        return PatchSet([a, b])
    except UserError as error:
        return error


def test_any_two_patches_compose_or_are_refused_with_the_reason() -> None:
    for a, b in itertools.combinations(all_patches().values(), 2):
        shared = a.replaces.keys() & b.replaces.keys()
        match _together(a, b):
            case PatchSet() as both:
                assert both.keys() == a.replaces.keys() | b.replaces.keys()
                assert all(
                    both[function] in (a.replaces[function], b.replaces[function])
                    for function in shared
                )
            case error:
                assert any(f"{function}()" in error.message for function in shared)


@pytest.mark.parametrize("version", releases())
def test_every_version_can_be_made(version: str) -> None:
    assert resolve(version).variant == ("" if version == BASE else version)
