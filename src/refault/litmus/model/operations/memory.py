"""What a thread does to its memory, and looks at."""

from __future__ import annotations

from refault.litmus.model.world import World
from refault.litmus.program import IDLE, Step

from .registry import at, number, operation


@operation
def dontneed(world: World, step: Step) -> str:
    """``madvise(MADV_DONTNEED)``."""
    return number(at(world, step).dontneed(step.args.get("pages", 1)))


@operation
def munmap(world: World, step: Step) -> str:
    """``munmap(2)``."""
    return number(at(world, step).munmap(step.args["pages"]))


@operation
def mremap(world: World, step: Step) -> str:
    """``mremap(2)`` to another place; to ``keep`` the old mapping is MREMAP_DONTUNMAP."""
    to, keep = at(world, step, "to"), step.args.get("keep", False)
    return number(min(at(world, step).mremap(to, step.args["pages"], keep=keep), 0))


@operation
def put_user(world: World, step: Step) -> str:
    """A system call writes a zero to the page."""
    return number(at(world, step).put_user(0))


@operation
def fork(world: World, step: Step) -> str:
    """``fork(2)``; the child can be told to do something from then on."""
    child = step.args["who"]
    world.process.fork(world.children[child])
    world.board.set(child, IDLE)
    return "forked"
