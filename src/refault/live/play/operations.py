"""What the steps of a litmus test are on a real kernel.

Each function starts one step, as the thread that it belongs to, and returns how its value is to be
had once it has ended. The words are those of ``refault.litmus.program``.
"""

from __future__ import annotations

import errno
import signal
import struct
from collections.abc import Callable
from typing import NamedTuple

from refault.litmus.program import COPIED, MONITOR, Step

from ..abi import Nr, ioctl_read, ioctl_read_write, name_of
from ..puppet import PAGE, Command, PuppetThread
from ..userfaultfd import API, Event, Message, Mode, PagefaultFlag
from .stage import COPIED_BYTE, SOURCE, Stage


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


def operation(function: Operation) -> Operation:
    """Register the step of the function's name."""
    OPERATIONS[function.__name__] = function
    return function


def number(result: int) -> str:
    """What a system call returned: a count, or an error by its name."""
    return f"-{name_of(-result)}" if -4096 < result < 0 else str(result)


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


def call(stage: Stage, step: Step, gate: Gate, nr: int, *args: int) -> Command:
    """Start a system call."""
    thread = stage.thread(step.thread)
    return thread.syscall(nr, *args, gate=gate.shut, delay=gate.delay)


def room(stage: Stage, step: Step, data: bytes) -> int:
    """Put a structure where the thread's system calls find it; returns the address."""
    names = [thread.name for thread in stage.program.threads]
    index = 0 if step.thread == MONITOR else 1 + names.index(step.thread)
    return stage.puppet.write_scratch(512 + 256 * index, data)


def descriptor(stage: Stage, step: Step) -> int:
    """The userfaultfd's number in the process of the step's thread."""
    return stage.uffd.fd if step.thread == MONITOR else stage.fd_inside


@operation
def read(stage: Stage, step: Step, gate: Gate) -> Started:
    """Read one message."""
    address = room(stage, step, bytes(32))
    offset = address - stage.puppet.scratch

    def value(result: int) -> str:
        if result == -errno.EAGAIN:
            return "none"
        if result < 0:
            return number(result)
        return message(stage, Message.parse(stage.puppet.read_scratch(offset, 32)))

    return Started(call(stage, step, gate, Nr.READ, descriptor(stage, step), address, 32), value)


def message(stage: Stage, msg: Message) -> str:
    """A message in words."""
    if msg.event == Event.FORK:
        return "fork"
    if msg.event != Event.PAGEFAULT:
        return f"{msg.event.name.lower()} {stage.name(msg.numbers[0])}"
    words = ["write" if msg.flags & PagefaultFlag.WRITE else "read"]
    words += ["wp"] if msg.flags & PagefaultFlag.WP else []
    words += ["minor"] if msg.flags & PagefaultFlag.MINOR else []
    return f"{' '.join(words)} {stage.name(msg.address)}"


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
    offset = address - stage.puppet.scratch
    make = ioctl_read if read_only else ioctl_read_write
    request = make(API, nr, len(data))

    def value(result: int) -> str:
        if field >= 0:
            raw = stage.puppet.read_scratch(offset + 8 * field, 8)
            (done,) = struct.unpack("=q", raw)
            if result == 0 or (result == -errno.EAGAIN and done > 0):
                return str(done)
        return number(result)

    command = call(stage, step, gate, Nr.IOCTL, descriptor(stage, step), request, address)
    return Started(command, value)


def _range(stage: Stage, step: Step) -> tuple[int, int]:
    return stage.address(step.args["at"]), step.args["pages"] * PAGE


@operation
def copy(stage: Stage, step: Step, gate: Gate) -> Started:
    """``UFFDIO_COPY``."""
    start, length = _range(stage, step)
    mode = (not step.args["wake"]) | step.args["wp"] << 1
    source = stage.puppet.scratch + SOURCE
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
