"""Messages and ioctls of the userfaultfd."""

from __future__ import annotations

import errno

from refault.linux.include.uapi.userfaultfd import (
    ContinueMode,
    CopyMode,
    MoveMode,
    PagefaultFlag,
    PoisonMode,
    RegisterMode,
    UffdEvent,
    UffdMsg,
    WriteprotectMode,
    ZeropageMode,
)
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .registry import at, number, operation


@operation
def read(world: World, step: Step) -> str:
    """Read one message."""
    found = world.uffd.read_many(1)
    if isinstance(found, int):
        return "none" if found == -errno.EAGAIN else number(found)
    return message(world, found[0])


def message(world: World, msg: UffdMsg) -> str:
    """A message in words."""
    if msg.event is not UffdEvent.PAGEFAULT:
        return (
            f"{msg.event.name.lower()} {world.name(msg.address)}"
            if msg.address
            else msg.event.name.lower()
        )
    words = ["write" if msg.flags & PagefaultFlag.WRITE else "read"]
    words += ["wp"] if msg.flags & PagefaultFlag.WP else []
    words += ["minor"] if msg.flags & PagefaultFlag.MINOR else []
    return f"{' '.join(words)} {world.name(msg.address)}"


@operation
def copy(world: World, step: Step) -> str:
    """``UFFDIO_COPY``."""
    mode = CopyMode.NONE if step.args["wake"] else CopyMode.DONTWAKE
    mode |= CopyMode.WP if step.args["wp"] else CopyMode.NONE
    return number(world.uffd.copy(at(world, step), mode, pages=step.args["pages"]))


@operation
def zeropage(world: World, step: Step) -> str:
    """``UFFDIO_ZEROPAGE``."""
    mode = ZeropageMode.NONE if step.args["wake"] else ZeropageMode.DONTWAKE
    return number(world.uffd.zeropage(at(world, step), mode, pages=step.args["pages"]))


@operation
def wake(world: World, step: Step) -> str:
    """``UFFDIO_WAKE``."""
    return number(world.uffd.wake(at(world, step), pages=step.args["pages"]))


@operation
def protect(world: World, step: Step) -> str:
    """``UFFDIO_WRITEPROTECT``, to protect."""
    return number(world.uffd.protect(at(world, step), pages=step.args["pages"]))


@operation
def unprotect(world: World, step: Step) -> str:
    """``UFFDIO_WRITEPROTECT``, to unprotect."""
    mode = WriteprotectMode.NONE if step.args["wake"] else WriteprotectMode.DONTWAKE
    return number(world.uffd.unprotect(at(world, step), mode, pages=step.args["pages"]))


@operation
def resume(world: World, step: Step) -> str:
    """``UFFDIO_CONTINUE``."""
    mode = ContinueMode.NONE if step.args["wake"] else ContinueMode.DONTWAKE
    return number(world.uffd.resume(at(world, step), mode, pages=step.args["pages"]))


@operation
def poison(world: World, step: Step) -> str:
    """``UFFDIO_POISON``."""
    mode = PoisonMode.NONE if step.args["wake"] else PoisonMode.DONTWAKE
    return number(world.uffd.poison(at(world, step), mode, pages=step.args["pages"]))


@operation
def move(world: World, step: Step) -> str:
    """``UFFDIO_MOVE``."""
    mode = MoveMode.ALLOW_SRC_HOLES if step.args["holes"] else MoveMode.NONE
    src = at(world, step, "src")
    return number(world.uffd.move(at(world, step), src, mode, pages=step.args["pages"]))


@operation
def register(world: World, step: Step) -> str:
    """``UFFDIO_REGISTER``."""
    mode = RegisterMode.NONE
    for word in step.args["modes"].split():
        mode |= RegisterMode[word.upper()]
    return number(world.uffd.register(at(world, step), mode, pages=step.args["pages"]))


@operation
def unregister(world: World, step: Step) -> str:
    """``UFFDIO_UNREGISTER``."""
    return number(world.uffd.unregister(at(world, step), pages=step.args["pages"]))


@operation
def close(world: World, step: Step) -> str:
    """Close the userfaultfd."""
    world.uffd.close()
    return "0"
