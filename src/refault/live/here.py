"""Which kernel this is, in the words of the model: its version, and what it was built without.

``facts()`` collects what there is to be seen, with nothing but the standard library, so that it can
run on another machine and be sent back as data; ``variant()`` draws the conclusion.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from refault.patches import canonical, parse

Facts = Mapping[str, str]

_SIGNS = {"memory_failure": "/proc/sys/vm/memory_failure_recovery"}
"""Configurations of the model, and the file that is there with them."""


def facts() -> dict[str, str]:
    """Return the running kernel's release and version, and ``yes`` or ``no`` by configuration."""
    name = os.uname()
    found = {"release": name.release, "version": name.version}
    return found | {what: "yes" if Path(path).exists() else "no" for what, path in _SIGNS.items()}


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
    without = (f"without {what}" for what in _SIGNS if found.get(what) == "no")
    return canonical(", ".join((version(found), *without)))
