"""System calls that copy from user memory, or to it."""

from __future__ import annotations

import struct

from refault.litmus.program import Step
from refault.live import operations as do
from refault.live.abi import Nr
from refault.live.play.stage import OTHER, Stage
from refault.live.puppet import PAGE, PuppetThread

from .registry import Gate, Started, call, counted, number, opened, operation, room, start

_CLOCK_MONOTONIC = 1


def other(stage: Stage, thread: PuppetThread) -> int:
    """The other end of a copy: memory that is there, and mapped."""
    address = stage.puppet.scratch + OTHER
    for page in range(2):
        thread.store(address + page * PAGE, 1).wait()
    return address


def _send_first(stage: Stage, step: Step, nr: Nr, descriptor: int) -> None:
    """Let there be something to read."""
    source = stage.puppet.scratch + OTHER
    stage.puppet.thread().call(nr, descriptor, source, step.args["count"], 0, 0, 0)


@operation
def pipe_write(stage: Stage, step: Step, gate: Gate) -> Started:
    """``write(2)`` to a pipe."""
    ends = opened(stage, "pipe", do.pipe)
    address, count = start(stage, step), step.args["count"]
    return counted(stage, step, gate, Nr.WRITE, ends.writer, address, count)


@operation
def pipe_read(stage: Stage, step: Step, gate: Gate) -> Started:
    """``read(2)`` of a pipe."""
    ends = opened(stage, "pipe", do.pipe)
    _send_first(stage, step, Nr.WRITE, ends.writer)
    address, count = start(stage, step), step.args["count"]
    return counted(stage, step, gate, Nr.READ, ends.reader, address, count)


def file(thread: PuppetThread) -> int:
    """A file of two pages, of zeroes."""
    return do.file(thread, 2 * PAGE)


@operation
def file_write(stage: Stage, step: Step, gate: Gate) -> Started:
    """``write(2)`` to a file."""
    fd = opened(stage, "file", file)
    return counted(stage, step, gate, Nr.WRITE, fd, start(stage, step), step.args["count"])


@operation
def file_read(stage: Stage, step: Step, gate: Gate) -> Started:
    """``read(2)`` of a file."""
    fd = opened(stage, "file", file)
    return counted(stage, step, gate, Nr.READ, fd, start(stage, step), step.args["count"])


@operation
def send(stage: Stage, step: Step, gate: Gate) -> Started:
    """``send(2)``."""
    ends = opened(stage, "socket", do.socketpair)
    address, count = start(stage, step), step.args["count"]
    return counted(stage, step, gate, Nr.SENDTO, ends.writer, address, count, 0, 0, 0)


@operation
def receive(stage: Stage, step: Step, gate: Gate) -> Started:
    """``recv(2)``."""
    ends = opened(stage, "socket", do.socketpair)
    _send_first(stage, step, Nr.SENDTO, ends.writer)
    address, count = start(stage, step), step.args["count"]
    return counted(stage, step, gate, Nr.RECVFROM, ends.reader, address, count, 0, 0, 0)


@operation
def uname(stage: Stage, step: Step, gate: Gate) -> Started:
    """``uname(2)``."""
    return counted(stage, step, gate, Nr.UNAME, start(stage, step))


@operation
def clock_gettime(stage: Stage, step: Step, gate: Gate) -> Started:
    """``clock_gettime(2)``, by a system call and not in the vDSO."""
    return counted(stage, step, gate, Nr.CLOCK_GETTIME, _CLOCK_MONOTONIC, start(stage, step))


@operation
def nanosleep(stage: Stage, step: Step, gate: Gate) -> Started:
    """``nanosleep(2)``."""
    return counted(stage, step, gate, Nr.NANOSLEEP, start(stage, step), 0)


@operation
def mincore(stage: Stage, step: Step, gate: Gate) -> Started:
    """``mincore(2)``, with the answer in the page that is asked about."""
    page = stage.address(step.args["at"])
    return counted(stage, step, gate, Nr.MINCORE, page, PAGE, start(stage, step))


@operation
def access(stage: Stage, step: Step, gate: Gate) -> Started:
    """``access(2)``."""
    return counted(stage, step, gate, Nr.ACCESS, start(stage, step), 0)


@operation
def vm_read_here(stage: Stage, step: Step, gate: Gate) -> Started:
    """``process_vm_readv(2)`` to the buffer, from where all is there."""
    there = other(stage, stage.thread(step.thread))
    return vm_read(stage, step, gate, there, start(stage, step))


def vm_read(stage: Stage, step: Step, gate: Gate, there: int, here: int) -> Started:
    """Start ``process_vm_readv(2)`` within the process."""
    count = step.args["count"]
    vectors = room(stage, step, struct.pack("=4Q", here, count, there, count))
    args = (stage.puppet.pid, vectors, 1, vectors + 16, 1, 0)
    return Started(call(stage, step, gate, Nr.PROCESS_VM_READV, *args), number)
