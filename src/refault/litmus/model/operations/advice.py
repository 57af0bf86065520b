"""What becomes of pages: advice, merging, and what ``/proc/pid/pagemap`` says of them."""

from __future__ import annotations

from refault.litmus.model.world import World
from refault.litmus.program import Step

from .registry import at, number, operation


@operation
def madv_free(world: World, step: Step) -> str:
    """``madvise(MADV_FREE)``."""
    return number(at(world, step).madv_free(step.args.get("pages", 1)))


@operation
def merge(world: World, step: Step) -> str:
    """Have ``ksmd`` replace a page that COPY brought by one that has the same contents."""
    at(world, step).ksm_merge(world.kpage)
    return "merged"


@operation
def protection(world: World, step: Step) -> str:
    """Whether userfaultfd has write-protected a page."""
    return "wp" if at(world, step).is_protected() else "not wp"
