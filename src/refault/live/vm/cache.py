"""Where kernels and archives are kept between runs."""

from __future__ import annotations

import os
from pathlib import Path

from ..abi import Unavailable


def folder(name: str) -> Path:
    """Return a folder of the user's cache (``XDG_CACHE_HOME``), made if it is not there."""
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    path = Path(base).expanduser() / "refault" / name
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Unavailable(
            f"{path}: {error.strerror}", "set XDG_CACHE_HOME to a folder that can be written"
        ) from error
    return path
