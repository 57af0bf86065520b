"""Calls whose arguments lie where the kernel cannot read or write them, or not at once."""

from __future__ import annotations

import errno
import mmap
import struct

from refault.litmus.program import MONITOR, Step
from refault.live.abi import Nr, Unavailable, ioctl_read_write
from refault.live.play.stage import SOURCE, Stage
from refault.live.puppet import PAGE
from refault.live.userfaultfd import API

from .registry import Gate, Started, call, descriptor, number, operation, room
from .userfaultfd import ioctl

NOWHERE = PAGE
"""An address at which nothing is ever mapped."""

COPY = ioctl_read_write(API, 0x03, 40)


@operation
def read_nowhere(stage: Stage, step: Step, gate: Gate) -> Started:
    """Read one message into a buffer that is not mapped."""

    def value(result: int) -> str:
        return "none" if result == -errno.EAGAIN else number(result)

    return Started(call(stage, step, gate, Nr.READ, descriptor(stage, step), NOWHERE, 32), value)


@operation
def copy_read_only(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_COPY`` whose struct, and so its result, lies in memory that is read-only."""
    length = step.args["pages"] * PAGE
    source = stage.puppet.scratch + SOURCE
    data = struct.pack("=5Q", stage.address(step.args["at"]), source, length, 0, 0)
    thread, given = stage.thread(step.thread), room(stage, step, data)
    prot, flags = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS
    at = thread.call(Nr.MMAP, 0, PAGE, prot, flags, -1, 0)
    thread.copy(at, given, len(data)).wait()
    thread.call(Nr.MPROTECT, at, PAGE, mmap.PROT_READ)
    return Started(call(stage, step, gate, Nr.IOCTL, descriptor(stage, step), COPY, at), number)


@operation
def copy_from(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_COPY`` from memory of the process itself, which may have to be faulted in."""
    if step.thread == MONITOR:
        raise Unavailable(
            "the monitor has no memory of the process to copy from", "let a thread of it do that"
        )
    start, source = stage.address(step.args["at"]), stage.address(step.args["src"])
    length = step.args["pages"] * PAGE
    return ioctl(stage, step, gate, 0x03, start, source, length, step.args["wp"] << 1, 0, field=4)
