"""A look at pages from outside, as ``/proc`` gives it: no fault, no lock, no thread's turn."""

from __future__ import annotations

from refault.linux.include.linux.page import frame
from refault.linux.include.linux.pgtable import ZERO_PFN, Pte, PteKind, PteMarker
from refault.litmus.model.world import World, byte
from refault.litmus.program import Step

from .registry import at, operation


@operation
def peek(world: World, step: Step) -> str:
    """What each page holds, and what userfaultfd has set there."""
    first = at(world, step)
    return "|".join(_page(first[page].pte()) for page in range(step.args["pages"]))


def _page(pte: Pte) -> str:
    if pte.none:
        return "-"
    if pte.kind is PteKind.MARKER:
        wp, guard = pte.marker & PteMarker.UFFD_WP, pte.marker & PteMarker.GUARD
        return " ".join(["marker", *["wp"] * bool(wp), *["guard"] * bool(guard)])
    if not pte.present:
        return "swap"
    held = "0" if pte.pfn == ZERO_PFN else byte(frame(pte.pfn).data.read())
    return f"{held} wp" if pte.uffd_wp else held
