"""What the steps of a litmus test are on the model: the register of all of them.

Each function does one step as the thread that it belongs to, and returns what that sees, in the
words of ``refault.litmus.program``.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from refault.linux.user import Page
from refault.litmus.model.world import World
from refault.litmus.program import Step

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
