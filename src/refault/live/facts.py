"""Facts about a kernel that decide which variant of the model it is to be compared with.

They are gathered with nothing but the standard library, on whatever machine it is, and are what
JSON can hold; what follows from them is up to ``variant``.
"""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

CONFIGURATIONS = {"memory_failure": "/proc/sys/vm/memory_failure_recovery"}
"""Configurations of the model, each with a file that is there only with it."""


def gather() -> dict[str, Any]:
    """What is to be known of the kernel that this runs on."""
    return {
        "release": platform.release(),
        "version": platform.version(),
        "machine": platform.machine(),
        **{name: Path(path).exists() for name, path in CONFIGURATIONS.items()},
    }


def variant(facts: Mapping[str, Any]) -> str:
    """The variant of the model that such a kernel is: its version, and how it is configured.

    Empty where the release has no version in it.
    """
    version = _version(facts["release"], facts.get("version", ""))
    without = [f"without {name}" for name in CONFIGURATIONS if facts.get(name) is False]
    return ", ".join([version, *without]) if version else ""


def _version(release: str, built: str) -> str:
    """The stable release: Debian names older kernels ``6.1.0-56``, and says elsewhere which."""
    found = re.match(r"(\d+\.\d+)(?:\.(\d+))?", release)
    if not found:
        return ""
    series, stable = found.groups()
    debian = re.search(rf"Debian {re.escape(series)}\.(\d+)", built)
    stable = debian[1] if debian else stable
    return series if stable in (None, "0") else f"{series}.{stable}"
