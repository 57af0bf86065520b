"""Facts about the kernel that this runs on, which tell what variant of the model it is.

They are gathered with nothing but the standard library, so that this can run on another machine,
and the facts be sent back as data.
"""

from __future__ import annotations

import os
from pathlib import Path

SIGNS = {"memory_failure": "/proc/sys/vm/memory_failure_recovery"}
"""Configurations of the model, and the file that is there with them."""


def facts() -> dict[str, str]:
    """Return the running kernel's release and version, and ``yes`` or ``no`` by configuration."""
    name = os.uname()
    found = {"release": name.release, "version": name.version, "machine": name.machine}
    return found | {what: "yes" if Path(path).exists() else "no" for what, path in SIGNS.items()}
