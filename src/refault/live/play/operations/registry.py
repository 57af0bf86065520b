"""What the steps of a litmus test are on a real kernel: the register of all of them.

Each function starts one step, as the thread that it belongs to, and returns how its value is to be
had once it has ended. The words are those of ``refault.litmus.program``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

from refault.litmus.program import MONITOR, Step
from refault.live.abi import name_of
from refault.live.play.stage import Stage
from refault.live.puppet import Command, PuppetThread

T = TypeVar("T")


class Gate(NamedTuple):
    """Whether a step waits for the others of its move, and how many loops longer."""

    shut: bool = False
    delay: int = 0


class Started(NamedTuple):
    """A step under way; ``value`` says what its result is in words."""

    command: Command
    value: Callable[[int], str]


Operation = Callable[[Stage, Step, Gate], Started]
OPERATIONS: dict[str, Operation] = {}
OPEN = Gate()


def operation(function: Operation) -> Operation:
    """Register the step of the function's name."""
    OPERATIONS[function.__name__] = function
    return function


def number(result: int) -> str:
    """What a system call returned: a count, or an error by its name."""
    return f"-{name_of(-result)}" if -4096 < result < 0 else str(result)


def call(stage: Stage, step: Step, gate: Gate, nr: int, *args: int) -> Command:
    """Start a system call."""
    thread = stage.thread(step.thread)
    if step.thread in stage.counters:
        stage.counters[step.thread].reset()
    return thread.syscall(nr, *args, gate=gate.shut, delay=gate.delay)


def room(stage: Stage, step: Step, data: bytes) -> int:
    """Put a structure where the thread's system calls find it; returns the address."""
    return stage.thread(step.thread).slot.room(data)


def found(stage: Stage, step: Step, size: int, offset: int = 0) -> bytes:
    """What is in that structure now."""
    return stage.thread(step.thread).slot.found(size, offset)


def descriptor(stage: Stage, step: Step) -> int:
    """The userfaultfd's number in the process of the step's thread; -1 if it has it not."""
    if "of" in step.args:
        return stage.served.get(step.args["of"], -1)
    return stage.uffd.fd if step.thread == MONITOR else stage.fd_inside


def counted(stage: Stage, step: Step, gate: Gate, nr: int, *args: int) -> Started:
    """Start a system call that returns a count or an error."""
    return Started(call(stage, step, gate, nr, *args), number)


def start(stage: Stage, step: Step) -> int:
    """Where the buffer of a step begins."""
    return stage.address(step.args["at"]) + int(step.args["offset"])


def opened(stage: Stage, name: str, make: Callable[[PuppetThread], T]) -> T:
    """What the process has opened for this run under a name, by its first thread.

    A tuple of descriptors, or one of them, is closed when the run is over.
    """
    if name not in stage.things:
        stage.things[name] = made = make(stage.puppet.thread())
        stage.keep(*(made if isinstance(made, tuple) else (made,)))
    found: T = stage.things[name]
    return found
