"""Accesses of user mode, signals, and looks at what threads do."""

from __future__ import annotations

from refault.linux.include.uapi.signal import Signal
from refault.litmus.model.world import STORED, World, byte
from refault.litmus.program import Step

from .registry import at, number, operation


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
def kill(world: World, step: Step) -> str:
    """``tgkill(2)``."""
    return number(world.kernel.kill(step.args["who"], Signal[step.args["signal"]]))


@operation
def status(world: World, step: Step) -> str:
    """What a thread is doing."""
    return world.board.cell.read().of(step.args["who"])


@operation
def faults(world: World, step: Step) -> str:
    """How many page faults a thread has taken in its last step."""
    return str(world.faults[step.args["who"]].read())


@operation
def handled(world: World, step: Step) -> str:
    """How often a handler has run."""
    return str(world.handled[step.args["who"]].read())
