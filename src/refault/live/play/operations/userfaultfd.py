"""Messages and ioctls of the userfaultfd."""

from __future__ import annotations

import errno
import struct

from refault.litmus.program import Step
from refault.live.abi import Nr, ioctl_read, ioctl_read_write
from refault.live.play.memory import page_size
from refault.live.play.stage import Stage
from refault.live.puppet import PAGE
from refault.live.userfaultfd import API, Event, Message, Mode, PagefaultFlag

from .registry import Gate, Started, call, descriptor, found, number, operation, room


@operation
def read(stage: Stage, step: Step, gate: Gate) -> Started:
    """Read one message."""
    address = room(stage, step, bytes(32))

    def value(result: int) -> str:
        if result == -errno.EAGAIN:
            return "none"
        if result < 0:
            return number(result)
        return message(stage, Message.parse(found(stage, step, 32)))

    return Started(call(stage, step, gate, Nr.READ, descriptor(stage, step), address, 32), value)


def message(stage: Stage, msg: Message) -> str:
    """A message in words."""
    if msg.event == Event.FORK:
        stage.told_of_fork(msg.numbers[0])
        return "fork"
    if msg.event != Event.PAGEFAULT:
        return _event(stage, msg)
    words = ["write" if msg.flags & PagefaultFlag.WRITE else "read"]
    words += ["wp"] if msg.flags & PagefaultFlag.WP else []
    words += ["minor"] if msg.flags & PagefaultFlag.MINOR else []
    by = f" by {stage.who(msg.thread)}" if "THREAD_ID" in stage.program.features else ""
    return f"{' '.join(words)} {stage.name(msg.address)}{by}"


def _event(stage: Stage, msg: Message) -> str:
    """REMAP says from, to and length; the others from and to."""
    first, second, length = msg.numbers
    moved = msg.event == Event.REMAP
    pages = (length if moved else second - first) // PAGE
    said = f"{msg.event.name.lower()} {stage.name(first)}" + (f" x{pages}" if pages > 1 else "")
    return f"{said} to {stage.name(second)}" if moved else said


def ioctl(
    stage: Stage,
    step: Step,
    gate: Gate,
    nr: int,
    *words: int,
    field: int = -1,
    read_only: bool = False,
) -> Started:
    """Start an ioctl on a structure of 64-bit words; ``field`` is the index of its result."""
    data = struct.pack(f"={len(words)}Q", *words)
    address = room(stage, step, data)
    make = ioctl_read if read_only else ioctl_read_write
    request = make(API, nr, len(data))

    def value(result: int) -> str:
        if field >= 0:
            raw = found(stage, step, 8, 8 * field)
            (done,) = struct.unpack("=q", raw)
            if result in (0, -errno.EAGAIN):
                return number(done)
        return number(result)

    command = call(stage, step, gate, Nr.IOCTL, descriptor(stage, step), request, address)
    return Started(command, value)


def _range(stage: Stage, step: Step) -> tuple[int, int]:
    place = step.args["at"]
    return stage.address(place), step.args["pages"] * page_size(stage.memory(place))


@operation
def copy(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_COPY``."""
    start, length = _range(stage, step)
    mode = (not step.args["wake"]) | step.args["wp"] << 1
    source = stage.source(step.thread, length)
    return ioctl(stage, step, gate, 0x03, start, source, length, mode, 0, field=4)


@operation
def zeropage(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_ZEROPAGE``."""
    start, length = _range(stage, step)
    return ioctl(stage, step, gate, 0x04, start, length, not step.args["wake"], 0, field=3)


@operation
def move(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_MOVE``."""
    start, length = _range(stage, step)
    source, mode = stage.address(step.args["src"]), step.args["holes"] << 1
    return ioctl(stage, step, gate, 0x05, start, source, length, mode, 0, field=4)


@operation
def wake(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_WAKE``."""
    return ioctl(stage, step, gate, 0x02, *_range(stage, step), read_only=True)


@operation
def protect(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_WRITEPROTECT``, to protect."""
    return ioctl(stage, step, gate, 0x06, *_range(stage, step), 1)


@operation
def unprotect(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_WRITEPROTECT``, to unprotect."""
    return ioctl(stage, step, gate, 0x06, *_range(stage, step), (not step.args["wake"]) << 1)


@operation
def resume(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_CONTINUE``."""
    start, length = _range(stage, step)
    return ioctl(stage, step, gate, 0x07, start, length, not step.args["wake"], 0, field=3)


@operation
def poison(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_POISON``."""
    start, length = _range(stage, step)
    return ioctl(stage, step, gate, 0x08, start, length, not step.args["wake"], 0, field=3)


@operation
def register(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_REGISTER``."""
    start, length = _range(stage, step)
    mode = sum(Mode[word.upper()] for word in step.args["modes"].split())
    return ioctl(stage, step, gate, 0x00, start, length, mode, 0)


@operation
def unregister(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_UNREGISTER``."""
    return ioctl(stage, step, gate, 0x01, *_range(stage, step), read_only=True)
