"""Messages and ioctls of the userfaultfd."""

from __future__ import annotations

import errno

from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
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

from .registry import at, number, operation, uffd

HUGE = 512
"""Small pages in a huge one."""


@operation
def read(world: World, step: Step) -> str:
    """Read one message."""
    found = uffd(world, step).read_many(1)
    if isinstance(found, int):
        return "none" if found == -errno.EAGAIN else number(found)
    return message(world, found[0])


def message(world: World, msg: UffdMsg) -> str:
    """A message in words."""
    if msg.event is not UffdEvent.PAGEFAULT:
        return _event(world, msg)
    words = ["write" if msg.flags & PagefaultFlag.WRITE else "read"]
    words += ["wp"] if msg.flags & PagefaultFlag.WP else []
    words += ["minor"] if msg.flags & PagefaultFlag.MINOR else []
    by = f" by {msg.ptid}" if "THREAD_ID" in world.program.features else ""
    return f"{' '.join(words)} {world.name(msg.address)}{by}"


def _event(world: World, msg: UffdMsg) -> str:
    said = msg.event.name.lower()
    if msg.event is UffdEvent.FORK:
        world.opened[msg.ufd.partition(".")[0]].write(True)
        return said
    said += f" {world.name(msg.address)}"
    pages = msg.length // PAGE_SIZE
    said += f" x{pages}" if pages > 1 else ""
    return f"{said} to {world.name(msg.to)}" if msg.event is UffdEvent.REMAP else said


def filled(world: World, step: Step, count: int) -> str:
    """Bytes, or an error; a huge page is as long as a small one here, and really 512 times so."""
    huge = world.kind(step.args["at"]) == "hugetlb"
    return number(count * HUGE if huge and count > 0 else count)


@operation
def copy(world: World, step: Step) -> str:
    """``UFFDIO_COPY``."""
    mode = CopyMode.NONE if step.args["wake"] else CopyMode.DONTWAKE
    mode |= CopyMode.WP if step.args["wp"] else CopyMode.NONE
    return filled(
        world, step, uffd(world, step).copy(at(world, step), mode, pages=step.args["pages"])
    )


@operation
def zeropage(world: World, step: Step) -> str:
    """``UFFDIO_ZEROPAGE``."""
    mode = ZeropageMode.NONE if step.args["wake"] else ZeropageMode.DONTWAKE
    return number(uffd(world, step).zeropage(at(world, step), mode, pages=step.args["pages"]))


@operation
def wake(world: World, step: Step) -> str:
    """``UFFDIO_WAKE``."""
    return number(uffd(world, step).wake(at(world, step), pages=step.args["pages"]))


@operation
def protect(world: World, step: Step) -> str:
    """``UFFDIO_WRITEPROTECT``, to protect."""
    return number(uffd(world, step).protect(at(world, step), pages=step.args["pages"]))


@operation
def unprotect(world: World, step: Step) -> str:
    """``UFFDIO_WRITEPROTECT``, to unprotect."""
    mode = WriteprotectMode.NONE if step.args["wake"] else WriteprotectMode.DONTWAKE
    return number(uffd(world, step).unprotect(at(world, step), mode, pages=step.args["pages"]))


@operation
def resume(world: World, step: Step) -> str:
    """``UFFDIO_CONTINUE``."""
    mode = ContinueMode.NONE if step.args["wake"] else ContinueMode.DONTWAKE
    return number(uffd(world, step).resume(at(world, step), mode, pages=step.args["pages"]))


@operation
def poison(world: World, step: Step) -> str:
    """``UFFDIO_POISON``."""
    mode = PoisonMode.NONE if step.args["wake"] else PoisonMode.DONTWAKE
    return number(uffd(world, step).poison(at(world, step), mode, pages=step.args["pages"]))


@operation
def move(world: World, step: Step) -> str:
    """``UFFDIO_MOVE``."""
    mode = MoveMode.ALLOW_SRC_HOLES if step.args["holes"] else MoveMode.NONE
    src = at(world, step, "src")
    return number(uffd(world, step).move(at(world, step), src, mode, pages=step.args["pages"]))


@operation
def register(world: World, step: Step) -> str:
    """``UFFDIO_REGISTER``."""
    mode = RegisterMode.NONE
    for word in step.args["modes"].split():
        mode |= RegisterMode[word.upper()]
    return number(uffd(world, step).register(at(world, step), mode, pages=step.args["pages"]))


@operation
def unregister(world: World, step: Step) -> str:
    """``UFFDIO_UNREGISTER``."""
    return number(uffd(world, step).unregister(at(world, step), pages=step.args["pages"]))


@operation
def close(world: World, step: Step) -> str:
    """Close the userfaultfd."""
    world.uffd.close()
    return "0"
