"""ia64's page faults without the prefetch of mmap_lock."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.patches.patch import Patch


def _no_hint(mm: MmStruct) -> None:
    return None


no_prefetch = Patch(
    name="no_prefetch",
    title="ia64: do not prefetch mmap_lock",
    kind="proposal",
    source="follows from LKML 2023-02-01, Al Viro: there is a prefetch stuck in the itanic variant",
    replaces={"prefetchw": _no_hint},
)
