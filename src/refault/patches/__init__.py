"""Named changes to the base kernel: fixes to revert, proposals to apply.

The base is Linux 6.18. A *variant* says what else runs: ``without NAME`` reverts a fix that the
base has, ``with NAME`` applies one that it has not, several are separated by commas, and the empty
text or ``6.18`` is the base itself.
"""

from refault.patches.patch import Kind, Patch
from refault.patches.registry import all_patches, find
from refault.patches.variant import PatchSet, canonical, resolve

__all__ = ["Kind", "Patch", "PatchSet", "all_patches", "canonical", "find", "resolve"]
