"""What live tests need: a kernel that lets us."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from refault.live.abi import Unavailable, require_machine
from refault.live.puppet import Puppet
from refault.live.userfaultfd import Userfaultfd


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
