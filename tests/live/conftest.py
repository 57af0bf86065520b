"""What live tests need: a kernel that lets us, and a guest with another one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from refault.live.abi import Unavailable, require_machine
from refault.live.puppet import Puppet
from refault.live.userfaultfd import Userfaultfd
from refault.live.vm import emulator
from refault.live.vm.kernel import parse
from refault.live.vm.machine import Machine


@pytest.fixture
def puppet() -> Iterator[Puppet]:
    """A puppet with two threads."""
    try:
        require_machine()
    except Unavailable as error:
        pytest.skip(error.message)
    with Puppet(2) as made:
        yield made


@pytest.fixture
def uffd_allowed() -> None:
    """Skip where there is no userfaultfd."""
    try:
        Userfaultfd.open().close()
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")


@pytest.fixture(scope="session")
def guest() -> Iterator[Machine]:
    """A guest with Debian's 6.1, booted once; that it does not boot is no reason to skip."""
    try:
        emulator.find()
        kernel = parse("debian:6.1")
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    with Machine(kernel) as machine:
        yield machine
