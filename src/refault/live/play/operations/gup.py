"""System calls that have GUP fetch pages."""

from __future__ import annotations

import struct

from refault.litmus.program import Step
from refault.live import operations as do
from refault.live.abi import Nr, Unavailable
from refault.live.play.stage import OTHER, Stage
from refault.live.puppet import PAGE, PuppetThread

from .copies import other, vm_read
from .registry import Gate, Started, counted, opened, operation, room, start

_FUTEX_WAKE = 1
_O_RDONLY_CLOEXEC = 0o2000000
_EXT4, _XFS = 0xEF53, 0x58465342


@operation
def vm_read_there(stage: Stage, step: Step, gate: Gate) -> Started:
    """``process_vm_readv(2)`` from the buffer, to where all is there."""
    here = other(stage, stage.thread(step.thread))
    return vm_read(stage, step, gate, start(stage, step), here)


def _own_memory(thread: PuppetThread) -> int:
    return thread.call(Nr.OPEN, thread.slot.room(b"/proc/self/mem\0"), _O_RDONLY_CLOEXEC)


@operation
def mem_read(stage: Stage, step: Step, gate: Gate) -> Started:
    """``read(2)`` of ``/proc/self/mem``."""
    fd = opened(stage, "memory", _own_memory)
    here = other(stage, stage.thread(step.thread))
    count = step.args["count"]
    return counted(stage, step, gate, Nr.PREAD64, fd, here, count, start(stage, step))


@operation
def futex_wake(stage: Stage, step: Step, gate: Gate) -> Started:
    """``FUTEX_WAKE`` of a shared word."""
    return counted(stage, step, gate, Nr.FUTEX, start(stage, step), _FUTEX_WAKE, 1)


def _pages(stage: Stage, step: Step) -> tuple[int, int]:
    """The pages that the buffer lies in: where they begin, and their length."""
    first = stage.address(step.args["at"])
    end = start(stage, step) + step.args["count"]
    return first, (end - first + PAGE - 1) // PAGE * PAGE


@operation
def populate_read(stage: Stage, step: Step, gate: Gate) -> Started:
    """``MADV_POPULATE_READ``."""
    return counted(stage, step, gate, Nr.MADVISE, *_pages(stage, step), do.Advice.POPULATE_READ)


@operation
def populate_write(stage: Stage, step: Step, gate: Gate) -> Started:
    """``MADV_POPULATE_WRITE``."""
    return counted(stage, step, gate, Nr.MADVISE, *_pages(stage, step), do.Advice.POPULATE_WRITE)


@operation
def mlock(stage: Stage, step: Step, gate: Gate) -> Started:
    """``mlock(2)``."""
    return counted(stage, step, gate, Nr.MLOCK, *_pages(stage, step))


@operation
def vmsplice(stage: Stage, step: Step, gate: Gate) -> Started:
    """``vmsplice(2)``."""
    ends = opened(stage, "pipe", do.pipe)
    vector = room(stage, step, struct.pack("=2Q", start(stage, step), step.args["count"]))
    return counted(stage, step, gate, Nr.VMSPLICE, ends.writer, vector, 1, 0)


def _disk(stage: Stage) -> int:
    """A file past the page cache, with blocks of its own: holes are no matter of the device."""

    def make(thread: PuppetThread) -> int:
        fd = do.file(thread, 2 * PAGE, direct=True)
        about = thread.slot.room(bytes(128))
        thread.call(Nr.FSTATFS, fd, about)
        (kind,) = struct.unpack("=q", thread.slot.look_at(about, 8))
        if kind not in (_EXT4, _XFS):
            raise Unavailable(
                "temporary files are on another file system than ext4 or xfs",
                "set TMPDIR to a folder on one of them",
            )
        thread.call(Nr.PWRITE64, fd, stage.puppet.scratch + OTHER, 2 * PAGE, 0)
        return fd

    return opened(stage, "disk", make)


@operation
def direct_read(stage: Stage, step: Step, gate: Gate) -> Started:
    """``read(2)`` with ``O_DIRECT``."""
    fd, count = _disk(stage), step.args["count"]
    return counted(stage, step, gate, Nr.READ, fd, start(stage, step), count)


@operation
def direct_write(stage: Stage, step: Step, gate: Gate) -> Started:
    """``write(2)`` with ``O_DIRECT``."""
    fd, count = _disk(stage), step.args["count"]
    return counted(stage, step, gate, Nr.WRITE, fd, start(stage, step), count)
