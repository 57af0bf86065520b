"""Versions of Linux: which there are, and which patches each of them has.

A release is ``6.1``, a stable release of it ``6.1.30``. A version of the model is the base with the
fixes reverted that came later, and with those applied that the base does not have yet; it is as
good as the patches that are known. What a distribution adds is not in it.
"""

from __future__ import annotations

import difflib
import functools
import re
from typing import NamedTuple

from refault.explore.errors import UserError
from refault.patches.patch import Patch

BASE = "6.18"

_LAST = {4: 20, 5: 19, 6: 19, 7: 3}
"""The last release of each series that is known here."""

OLDEST = "4.3"
"""The first release with userfaultfd; of older ones the model knows too little."""


@functools.total_ordering
class Version(NamedTuple):
    """A release, and the number of its stable release, 0 for the release itself."""

    major: int
    minor: int
    stable: int = 0

    def __str__(self) -> str:
        return self.release + (f".{self.stable}" if self.stable else "")

    @property
    def release(self) -> str:
        """The release without the number of the stable one."""
        return f"{self.major}.{self.minor}"

    def has(self, patch: Patch) -> bool:
        """Whether this version has a patch, by its release or as a backport."""
        if not patch.since:
            return patch.kind == "configuration"
        if _release(patch.since) <= self[:2]:
            return True
        backport = patch.stable.get(self.release)
        return backport is not None and parse(backport).stable <= self.stable


def _release(since: str) -> tuple[int, ...]:
    """The release that brought a patch, as a number: also one older than all that are known."""
    return tuple(int(number) for number in since.split("."))


@functools.cache
def releases() -> tuple[str, ...]:
    """All releases that are known, the oldest first."""
    every = [f"{major}.{minor}" for major, last in _LAST.items() for minor in range(last + 1)]
    return tuple(every[every.index(OLDEST) :])


def is_version(text: str) -> bool:
    """Whether a part of a variant is meant as a version."""
    return re.fullmatch(r"v?\d+(\.\w*)*", text) is not None


@functools.cache
def parse(text: str) -> Version:
    """Return a version; ``UserError`` with near ones where there is none of that name."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?", text)
    if match:
        version = Version(*(int(number or 0) for number in match.groups()))
        if version.release in releases():
            return version
    near = difflib.get_close_matches(text.lstrip("v"), releases(), n=3, cutoff=0.5)
    raise UserError(
        f"no version of Linux is called {text!r} here",
        f"did you mean {', '.join(near)}?"
        if near
        else f"there are {releases()[0]} to {releases()[-1]}",
    )
