"""Accesses of user mode."""

from __future__ import annotations

import signal
from collections.abc import Callable

from refault.litmus.program import COPIED, Step
from refault.live.play.stage import COPIED_BYTE, Stage
from refault.live.puppet import PuppetThread

from .registry import Gate, Started, operation

CODES = {
    (signal.SIGSEGV, 1): "SEGV_MAPERR",
    (signal.SIGSEGV, 2): "SEGV_ACCERR",
    (signal.SIGSEGV, 4): "SEGV_PKUERR",
    (signal.SIGBUS, 1): "BUS_ADRALN",
    (signal.SIGBUS, 2): "BUS_ADRERR",
    (signal.SIGBUS, 3): "BUS_OBJERR",
    (signal.SIGBUS, 4): "BUS_MCEERR_AR",
}
"""``si_code`` of a signal from a fault."""


def byte(result: int) -> str:
    """What a load has found."""
    return COPIED if result == COPIED_BYTE else str(result)


def ended(thread: PuppetThread, words: Callable[[int], str]) -> Callable[[int], str]:
    """Say what an access gave, in other words if a signal has ended it."""

    def value(result: int) -> str:
        if result >= 0:
            return words(result)
        number = signal.Signals(-result)
        code = thread.handled.code
        return f"{number.name} {CODES.get((number, code), code)}"

    return value


@operation
def load(stage: Stage, step: Step, gate: Gate) -> Started:
    """Load a byte."""
    address = stage.address(step.args["at"])
    thread = stage.thread(step.thread)
    command = thread.load(address, gate=gate.shut, delay=gate.delay)
    return Started(command, ended(thread, byte))


@operation
def store(stage: Stage, step: Step, gate: Gate) -> Started:
    """Store a byte."""
    address = stage.address(step.args["at"])
    thread = stage.thread(step.thread)
    command = thread.store(address, step.args["value"], gate=gate.shut, delay=gate.delay)
    return Started(command, ended(thread, lambda _: "stored"))
