"""What becomes of pages: advice."""

from __future__ import annotations

from refault.litmus.program import Step
from refault.live.abi import Nr
from refault.live.operations import Advice
from refault.live.play.stage import Stage
from refault.live.puppet import PAGE

from .registry import Gate, Started, call, number, operation


@operation
def madv_free(stage: Stage, step: Step, gate: Gate) -> Started:
    """``madvise(MADV_FREE)``."""
    at, size = stage.address(step.args["at"]), step.args.get("pages", 1) * PAGE
    return Started(call(stage, step, gate, Nr.MADVISE, at, size, Advice.FREE), number)
