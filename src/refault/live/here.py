"""Which kernel this is, in the words of the model: its version, and what it was built without."""

from __future__ import annotations

import re
from collections.abc import Mapping

from refault.patches import canonical, parse

from .facts import SIGNS, facts

__all__ = ["Facts", "facts", "variant", "version"]

Facts = Mapping[str, str]


def version(found: Facts) -> str:
    """Return the version, such as ``6.18.44``.

    A release of Debian may end in a ``.0`` and a number of its own; its version then names the
    stable release. ``UserError`` where the model knows no version of that name.
    """
    release = re.match(r"\d+\.\d+(\.\d+)?", found["release"])
    text = release[0] if release else found["release"]
    exact = re.search(r"Debian (\d+\.\d+\.\d+)", found["version"])
    if exact and text.startswith(exact[1].rpartition(".")[0]):
        text = exact[1]
    return str(parse(text))


def variant(found: Facts) -> str:
    """Return the variant of the model that a kernel is, by its facts."""
    without = (f"without {what}" for what in SIGNS if found.get(what) == "no")
    return canonical(", ".join((version(found), *without)))
