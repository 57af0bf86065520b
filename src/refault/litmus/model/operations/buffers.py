"""Calls whose arguments lie where the kernel cannot read or write them, or not at once."""

from __future__ import annotations

import errno

from refault.linux.include.uapi.userfaultfd import CopyMode, UserStruct
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .registry import at, number, operation


@operation
def read_nowhere(world: World, step: Step) -> str:
    """Read one message into a buffer that is not mapped."""
    found = world.uffd.read_many(1, buffer=UserStruct.UNMAPPED)
    assert isinstance(found, int)
    return "none" if found == -errno.EAGAIN else number(found)


@operation
def copy_read_only(world: World, step: Step) -> str:
    """``UFFDIO_COPY`` whose struct, and so its result, lies in memory that is read-only."""
    struct = UserStruct.READ_ONLY
    return number(world.uffd.copy(at(world, step), pages=step.args["pages"], struct=struct))


@operation
def copy_from(world: World, step: Step) -> str:
    """``UFFDIO_COPY`` from memory of the process itself, which may have to be faulted in."""
    mode = CopyMode.WP if step.args["wp"] else CopyMode.NONE
    src, pages = at(world, step, "src"), step.args["pages"]
    return number(world.uffd.copy(at(world, step), mode, pages=pages, src=src))
