"""What ``mfill_atomic()`` is asked to do."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.mm.userfaultfd.copy import Source


class Fill(Enum):
    """``enum mfill_atomic_mode``: what to fill with."""

    COPY = "copy"
    ZEROPAGE = "zero page"
    CONTINUE = "what the file has"
    POISON = "poison"


class Mfill(NamedTuple):
    """What ``mfill_atomic()`` is asked to do; no ``source`` is one that is there."""

    kind: Fill
    dst: int
    length: int = PAGE_SIZE
    source: Source | None = None
    wp: bool = False


NEEDS_FAULT = -1
"""What a page's filling returns for "drop the locks and copy again", in the kernel -ENOENT."""
