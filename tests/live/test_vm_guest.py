"""Another kernel, in the emulator: Debian's 6.1, with this Python and the bindings inside."""

from __future__ import annotations

import platform

import pytest

from refault.live.userfaultfd import Feature
from refault.live.vm.machine import JobFailed, Machine

HELLO = "refault.live.vm.guest.hello"
OF_6_1 = Feature((Feature.WP_UNPOPULATED) - 1)
"""All features up to write protection of shared memory; those that follow came later."""


def test_a_guest_says_who_it_is_and_its_puppets_work(guest: Machine) -> None:
    assert guest.release.startswith("6.1.")
    assert guest.release != platform.release()
    assert guest.modules == {"irqbypass": "", "kvm": "", "kvm_amd": ""}
    kernel, userfaultfd, puppet, kvm = guest.run(HELLO, {"byte": 33})
    assert kernel["release"] == guest.release
    assert kernel["cpus"] == 2
    assert Feature(userfaultfd["userfaultfd"]) == OF_6_1
    assert puppet == {"puppet": 33}
    assert kvm == {"kvm": "MMIO 33"}


def test_a_job_that_fails_says_where_and_others_follow(guest: Machine) -> None:
    with pytest.raises(JobFailed, match="AttributeError: 'NoneType'") as failed:
        list(guest.run(HELLO, None))
    assert "hello.py" in failed.value.traceback
    with pytest.raises(JobFailed, match=r"No module named 'refault\.linux'"):
        list(guest.run("refault.linux"))
    assert next(guest.run(HELLO, {}))["release"] == guest.release
