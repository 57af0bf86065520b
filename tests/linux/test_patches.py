"""Variants: their grammar, what they refuse, and that each patch makes a difference."""

from __future__ import annotations

import re

import pytest

from refault.explore import UserError
from refault.linux import modelled_function
from refault.patches import all_patches, canonical, find, resolve
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
        assert bool(patch.commit) == bool(patch.since) == (patch.kind != "proposal")
        assert resolve(patch.variant).patches == (patch,)


def test_each_patch_is_in_a_variant_of_the_catalogue() -> None:
    used = {p.name for s in all_scenarios() for v in s.variants for p in resolve(v).patches}
    assert used >= set(all_patches())
