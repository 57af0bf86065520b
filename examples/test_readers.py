"""The story as a test of one line; what fails it is drawn in the failure message."""

from readers import two_readers

import refault


def test_two_readers() -> None:
    """Nobody is left asleep, in any order."""
    refault.check(two_readers).assert_holds()
