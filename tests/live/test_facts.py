"""Which variant of the model a kernel is, from what can be seen of it."""

from __future__ import annotations

import json

import pytest

from refault.live.facts import gather, variant
from refault.patches import canonical

DEBIAN = "#1 SMP PREEMPT_DYNAMIC Debian {} (2026-08-01)"


@pytest.mark.parametrize(
    ("release", "built", "expected"),
    [
        ("6.18.44-own-1", "#1 SMP @0", "6.18.44"),
        ("6.12.117+deb12-cloud-amd64", DEBIAN.format("6.12.117-1"), "6.12.117"),
        ("6.1.0-56-cloud-amd64", DEBIAN.format("6.1.192-1"), "6.1.192"),
        ("5.10.0-46-cloud-amd64", DEBIAN.format("5.10.262-1"), "5.10.262"),
        ("7.2.0-rc1", "#1 SMP", "7.2"),
        ("6.17.0", "#1 SMP", "6.17"),
    ],
)
def test_the_version_is_that_of_the_stable_release(release: str, built: str, expected: str) -> None:
    assert variant({"release": release, "version": built}) == expected
    assert canonical(expected) == expected


def test_what_a_kernel_was_built_without_is_part_of_its_variant() -> None:
    found = {"release": "6.18.44", "version": "#1", "memory_failure": False}
    assert variant(found) == "6.18.44, without memory_failure"
    assert variant(found | {"memory_failure": True}) == "6.18.44"


def test_a_kernel_without_a_version_has_no_variant() -> None:
    assert variant({"release": "mainline"}) == ""


def test_facts_can_be_sent() -> None:
    found = json.loads(json.dumps(gather()))
    assert variant(found)
