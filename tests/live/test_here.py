"""Which variant of the model a kernel is, from what can be seen of it."""

from __future__ import annotations

import pytest

from refault.explore import UserError
from refault.live.here import facts, variant, version
from refault.patches import resolve

DEBIAN = "#1 SMP PREEMPT_DYNAMIC Debian {} (2026-08-01)"


@pytest.mark.parametrize(
    ("release", "built", "expected"),
    [
        ("6.18.44-own-1", "#1 SMP @0", "6.18.44"),
        ("6.12.117+deb12-cloud-amd64", DEBIAN.format("6.12.117-1"), "6.12.117"),
        ("6.1.0-56-cloud-amd64", DEBIAN.format("6.1.192-1"), "6.1.192"),
        ("5.10.0-46-cloud-amd64", DEBIAN.format("5.10.262-1"), "5.10.262"),
        ("7.2.0-rc1", "#1 SMP", "7.2"),
        ("6.18", "#1 SMP", "6.18"),
    ],
)
def test_the_version_is_that_of_the_stable_release(
    release: str, built: str, expected: str
) -> None:
    assert version({"release": release, "version": built}) == expected


def test_what_a_kernel_was_built_without_is_part_of_its_variant() -> None:
    found = {"release": "6.18.44", "version": "#1", "memory_failure": "no"}
    assert variant(found) == "6.18.44, without memory_failure"
    assert variant(found | {"memory_failure": "yes"}) == "6.18.44"


def test_a_version_that_nobody_knows_is_an_error() -> None:
    with pytest.raises(UserError, match="no version of Linux is called"):
        variant({"release": "99.1.2", "version": "#1"})


def test_this_kernel_has_a_variant() -> None:
    resolve(variant(facts()))
