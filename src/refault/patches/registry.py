"""All patches by name, those of plug-ins after ours."""

from __future__ import annotations

import difflib
import functools

from refault.explore.errors import UserError
from refault.linux import modelled_function
from refault.patches.patch import Patch
from refault.plugins import collect


@functools.cache
def all_patches() -> dict[str, Patch]:
    """Return every patch by its name. Two of one name are an error, and so is a lost target."""
    found: dict[str, Patch] = {}
    for patch in collect("refault_patches"):
        if patch.name in found:
            raise UserError(f"two patches are called {patch.name}", "rename one of them")
        _check_targets(patch)
        found[patch.name] = patch
    return found


def _check_targets(patch: Patch) -> None:
    for name in patch.replaces:
        if modelled_function(name) is None:
            raise UserError(
                f"patch {patch.name} replaces {name}(), which is not modelled",
                "name a function that the model marks as the kernel's",
            )


def find(name: str) -> Patch:
    """Return the patch called ``name``; hyphens are as good as underscores."""
    known = all_patches()
    wanted = name.replace("-", "_")
    if wanted in known:
        return known[wanted]
    near = difflib.get_close_matches(wanted, known, n=3, cutoff=0.4)
    raise UserError(
        f"no patch is called {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(known)}",
    )
