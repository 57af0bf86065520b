"""What the steps of a litmus test are on the model.

Each function does one step as the thread that it belongs to, and returns what that sees, in the
words of ``program``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from refault.linux.include.uapi.signal import Signal
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
from refault.linux.user import Page
from refault.litmus.program import Step

from .world import STORED, World, byte

Operation = Callable[[World, Step], str]
OPERATIONS: dict[str, Operation] = {}


def operation(function: Operation) -> Operation:
    """Register the step of the function's name."""
    OPERATIONS[function.__name__.strip("_")] = function
    return function


def number(value: int) -> str:
    """A count, or an error by its name."""
    return f"-{errno.errorcode.get(-value, value)}" if value < 0 else str(value)


def at(world: World, step: Step, key: str = "at") -> Page:
    """The page that a step is about."""
    return world.page(step.args[key])


@operation
def load(world: World, step: Step) -> str:
    """Load a byte in user mode."""
    return byte(at(world, step).load())


@operation
def store(world: World, step: Step) -> str:
    """Store a byte in user mode."""
    at(world, step).store(step.args["value"] + STORED)
    return "stored"


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


@operation
def kill(world: World, step: Step) -> str:
    """``tgkill(2)``."""
    return number(world.kernel.kill(step.args["who"], Signal[step.args["signal"]]))


@operation
def status(world: World, step: Step) -> str:
    """What a thread is doing."""
    return world.board.cell.read().of(step.args["who"])


@operation
def handled(world: World, step: Step) -> str:
    """How often a handler has run."""
    return str(world.handled[step.args["who"]].read())
