"""Facts about a kernel that decide which variant of the model it is to be compared with."""

from __future__ import annotations

import platform
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def gather() -> dict[str, Any]:
    """What is to be known of the kernel that this runs on."""
    return {
        "release": platform.release(),
        "machine": platform.machine(),
        "memory_failure": Path("/proc/sys/vm/memory_failure_recovery").exists(),
    }


def variant(facts: Mapping[str, Any]) -> str:
    """The variant of the model that such a kernel is: its version, and how it is configured.

    Debian names its kernels by their ABI, ``6.1.0-56``; the stable release is then not known, and
    the release itself is meant.
    """
    found = re.match(r"(\d+\.\d+)(?:\.(\d+))?", facts["release"])
    if not found:
        return ""
    release, stable = found.groups()
    return release if stable in (None, "0") else f"{release}.{stable}"
