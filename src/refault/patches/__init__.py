"""Named changes to the base kernel: fixes to revert, proposals to apply.

The base is Linux 6.18 on x86. A *variant* says what else runs: ``without NAME`` reverts a fix that
the base has, ``with NAME`` applies one that it has not, ``6.1`` is another version, with all that
came later reverted, ``on csky`` another architecture; several are separated by commas, and the
empty text or ``6.18`` is the base itself.
"""

from refault.patches.patch import Kind, Patch
from refault.patches.registry import all_patches, find
from refault.patches.variant import PatchSet, canonical, elsewhere, resolve
from refault.patches.version import BASE, Version, parse, releases

__all__ = [
    "BASE",
    "Kind",
    "Patch",
    "PatchSet",
    "Version",
    "all_patches",
    "canonical",
    "elsewhere",
    "find",
    "parse",
    "releases",
    "resolve",
]
