"""What the steps of a litmus test are on the model: the register of all of them.

Each function does one step as the thread that it belongs to, and returns what that sees, in the
words of ``refault.litmus.program``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import Any

from refault.linux.buffers import Buffer
from refault.linux.include.uapi.errno import errno_name
from refault.linux.uffd import UserFaultFd
from refault.linux.user import Page
from refault.litmus.model.world import World
from refault.litmus.program import Step

Operation = Callable[[World, Step], str]
OPERATIONS: dict[str, Operation] = {}
THINGS: dict[str, Callable[[World], Any]] = {}
"""What steps need besides memory, such as a pipe: made when the story is, once for all of them."""


def operation(function: Operation) -> Operation:
    """Register the step of the function's name."""
    OPERATIONS[function.__name__.strip("_")] = function
    return function


def needs(make: Callable[[World], Any]) -> Callable[[Operation], Operation]:
    """Have something made for a step; it finds it by ``world.things[make]``."""

    def mark(function: Operation) -> Operation:
        THINGS[function.__name__.strip("_")] = make
        return function

    return mark


def number(value: int) -> str:
    """A count, or an error by its name."""
    if value >= 0:
        return str(value)
    return f"-{errno.errorcode[-value]}" if -value in errno.errorcode else errno_name(value)


def at(world: World, step: Step, key: str = "at") -> Page:
    """The page that a step is about: of a child, if that does it or it is done for that."""
    return world.page(step.args[key], owner(world, step))


def buffer(world: World, step: Step) -> Buffer:
    """The bytes that a step is about."""
    page = at(world, step)
    return Buffer(page.mm, page.address + step.args["offset"], step.args["count"])


def owner(world: World, step: Step) -> str:
    """The child that a step is about; empty for the process itself."""
    if step.thread in world.children:
        return step.thread
    return str(step.args.get("of", ""))


def uffd(world: World, step: Step) -> UserFaultFd:
    """The userfaultfd that a step is about."""
    child = step.args.get("of", "")
    return world.served(child) if child else world.uffd


def plain(call: Callable[[Buffer], int]) -> None:
    """Register a system call that takes a buffer, and nothing else, as the step of its name."""
    OPERATIONS[call.__name__] = lambda world, step: number(call(buffer(world, step)))
