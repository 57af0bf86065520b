"""Ioctls and their arguments: handshakes, answers, and what the kernel has to refuse."""

from __future__ import annotations

import struct

from refault.litmus.program import Step
from refault.live.abi import Nr, ioctl_read_write
from refault.live.play.memory import page_size
from refault.live.play.stage import Stage
from refault.live.puppet import PAGE
from refault.live.userfaultfd import API, Feature, Mode

from .registry import Gate, Started, call, descriptor, found, number, operation, room
from .userfaultfd import ioctl

NOWHERE = 0x1000
"""An address at which no process has anything mapped."""
POLLS = {1: "IN", 8: "ERR", 16: "HUP"}
IOCTLS = {
    2: "wake",
    3: "copy",
    4: "zeropage",
    5: "move",
    6: "writeprotect",
    7: "continue",
    8: "poison",
}
"""Ioctls of a range, by their numbers."""


@operation
def poll(stage: Stage, step: Step, gate: Gate) -> Started:
    """``poll(2)`` without waiting."""
    fds = room(stage, step, struct.pack("=ihh", descriptor(stage, step), 1, 0))

    def value(result: int) -> str:
        if result < 0:
            return number(result)
        (events,) = struct.unpack("=6xh", found(stage, step, 8))
        return " ".join(name for bit, name in POLLS.items() if events & bit) or "nothing"

    return Started(call(stage, step, gate, Nr.POLL, fds, 1, 0), value)


@operation
def handshake(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_API``."""
    features = sum(Feature[name] for name in step.args["features"].split())
    address = room(stage, step, struct.pack("=3Q", step.args["api"], features, 0))

    def value(result: int) -> str:
        if result < 0:
            return number(result)
        return f"{struct.unpack('=8xQ8x', found(stage, step, 24))[0]:#x}"

    request = ioctl_read_write(API, 0x3F, 24)
    return Started(
        call(stage, step, gate, Nr.IOCTL, descriptor(stage, step), request, address), value
    )


@operation
def registered(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_REGISTER``, and the ioctls that it says."""
    start = stage.address(step.args["at"])
    length = step.args["pages"] * page_size(stage.memory(step.args["at"]))
    mode = sum(Mode[word.upper()] for word in step.args["modes"].split())
    started = ioctl(stage, step, gate, 0x00, start, length, mode, 0)

    def value(result: int) -> str:
        if result < 0:
            return number(result)
        (bits,) = struct.unpack("=24xQ", found(stage, step, 32))
        return " ".join(sorted(name for bit, name in IOCTLS.items() if bits >> bit & 1))

    return Started(started.command, value)


@operation
def ask(stage: Stage, step: Step, gate: Gate) -> Started:
    """An ioctl with arguments as they are."""
    args = step.args
    start, length, mode = stage.address(args["at"]) + args["offset"], args["length"], args["mode"]
    if args["ioctl"] == "copy":
        source = stage.source(step.thread, PAGE) if args["source"] else NOWHERE
        return ioctl(stage, step, gate, 0x03, start, source, length, mode, 0, field=4)
    if args["ioctl"] == "zeropage":
        return ioctl(stage, step, gate, 0x04, start, length, mode, 0, field=3)
    if args["ioctl"] == "writeprotect":
        return ioctl(stage, step, gate, 0x06, start, length, mode)
    if args["ioctl"] == "register":
        return ioctl(stage, step, gate, 0x00, start, length, mode, 0)
    number_of = {"wake": 0x02, "unregister": 0x01}[args["ioctl"]]
    return ioctl(stage, step, gate, number_of, start, length, read_only=True)
