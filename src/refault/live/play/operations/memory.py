"""What a thread does to its memory, and the kernel for it."""

from __future__ import annotations

from refault.litmus.program import Step
from refault.live.abi import Nr
from refault.live.operations import Advice
from refault.live.play.memory import page_size
from refault.live.play.stage import Stage

from .registry import Gate, Started, call, number, operation

_MAYMOVE_FIXED, _DONTUNMAP = 3, 4


def _size(stage: Stage, step: Step) -> int:
    return int(step.args.get("pages", 1)) * page_size(stage.memory(step.args["at"]))


def _zero(result: int) -> str:
    return number(min(result, 0)) if -4096 < result < 0 else "0"


@operation
def dontneed(stage: Stage, step: Step, gate: Gate) -> Started:
    """``madvise(MADV_DONTNEED)``."""
    start, size = stage.address(step.args["at"]), _size(stage, step)
    return Started(call(stage, step, gate, Nr.MADVISE, start, size, Advice.DONTNEED), number)


@operation
def munmap(stage: Stage, step: Step, gate: Gate) -> Started:
    """``munmap(2)``."""
    start, size = stage.address(step.args["at"]), _size(stage, step)
    return Started(call(stage, step, gate, Nr.MUNMAP, start, size), number)


@operation
def mremap(stage: Stage, step: Step, gate: Gate) -> Started:
    """``mremap(2)`` to another place; to ``keep`` the old mapping is MREMAP_DONTUNMAP."""
    start, size = stage.address(step.args["at"]), _size(stage, step)
    to = stage.address(step.args["to"])
    how = _MAYMOVE_FIXED | (_DONTUNMAP if step.args.get("keep") else 0)
    return Started(call(stage, step, gate, Nr.MREMAP, start, size, size, how, to), _zero)


@operation
def put_user(stage: Stage, step: Step, gate: Gate) -> Started:
    """``rt_sigprocmask(2)`` that only asks: it writes 8 bytes, zeroes as nothing is blocked."""
    address = stage.address(step.args["at"])
    command = call(stage, step, gate, Nr.RT_SIGPROCMASK, 0, 0, address, 8)
    return Started(command, number)


@operation
def fork(stage: Stage, step: Step, gate: Gate) -> Started:
    """``fork(2)``; the child can be told to do something from then on."""
    child = step.args["who"]
    fork = stage.thread(step.thread).begin_fork(gate=gate.shut)
    stage.forking.append(child)

    def value(result: int) -> str:
        if result < 0:
            return number(result)
        stage.children[child] = fork.wait()
        return "forked"

    return Started(fork.command, value)
