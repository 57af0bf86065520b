"""Guard regions: from when on ``madvise(2)`` has them, and of which memory."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct, VmArea
from refault.linux.include.uapi.errno import EINVAL
from refault.patches.patch import Patch


def _unknown_advice(mm: MmStruct, start: int, end: int = 0) -> int:
    return -EINVAL


def _anonymous_only(vma: VmArea) -> bool:
    return vma.vm_file is None


guard_regions = Patch(
    name="guard_regions",
    title="mm: madvise: implement lightweight guard page mechanism",
    kind="fix",
    commit="662df3e5c376",
    since="6.13",
    source="Lorenzo Stoakes, 2024; 6.12 was seen to say -EINVAL",
    replaces={"madvise_guard_install": _unknown_advice, "madvise_guard_remove": _unknown_advice},
)

guard_regions_of_files = Patch(
    name="guard_regions_of_files",
    title="mm: allow guard regions in file-backed and read-only mappings",
    kind="fix",
    commit="f807123d578d",
    since="6.15",
    source="Lorenzo Stoakes, 2025",
    replaces={"is_valid_guard_vma": _anonymous_only},
)
