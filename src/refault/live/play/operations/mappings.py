"""System calls that change mappings, and advice about pages."""

from __future__ import annotations

import mmap as flags

from refault.litmus.program import Step
from refault.live.abi import Nr
from refault.live.operations import Advice
from refault.live.play.memory import PROT
from refault.live.play.stage import Stage
from refault.live.puppet import PAGE

from .registry import Gate, Started, call, number, operation

_MAP_FIXED = 0x10


def _range(stage: Stage, step: Step) -> tuple[int, int]:
    return stage.address(step.args["at"]), step.args["pages"] * PAGE


@operation
def mprotect(stage: Stage, step: Step, gate: Gate) -> Started:
    """``mprotect(2)``."""
    prot = PROT[step.args["prot"]]
    return Started(call(stage, step, gate, Nr.MPROTECT, *_range(stage, step), prot), number)


@operation
def mmap(stage: Stage, step: Step, gate: Gate) -> Started:
    """``mmap(2)`` of private anonymous memory, over what is there."""
    start, length = _range(stage, step)
    how = flags.MAP_PRIVATE | flags.MAP_ANONYMOUS | _MAP_FIXED
    prot = PROT[step.args["prot"]]
    command = call(stage, step, gate, Nr.MMAP, start, length, prot, how, -1, 0)
    return Started(command, lambda result: "0" if result == start else number(result))


def _advise(stage: Stage, step: Step, gate: Gate, advice: int) -> Started:
    return Started(call(stage, step, gate, Nr.MADVISE, *_range(stage, step), advice), number)


@operation
def guard(stage: Stage, step: Step, gate: Gate) -> Started:
    """``madvise(MADV_GUARD_INSTALL)``."""
    return _advise(stage, step, gate, Advice.GUARD_INSTALL)


@operation
def unguard(stage: Stage, step: Step, gate: Gate) -> Started:
    """``madvise(MADV_GUARD_REMOVE)``."""
    return _advise(stage, step, gate, Advice.GUARD_REMOVE)


@operation
def populate(stage: Stage, step: Step, gate: Gate) -> Started:
    """``madvise(MADV_POPULATE_READ)`` or ``WRITE``."""
    advice = Advice.POPULATE_WRITE if step.args["write"] else Advice.POPULATE_READ
    return _advise(stage, step, gate, advice)
