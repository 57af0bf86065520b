"""System calls that have GUP fetch pages."""

from __future__ import annotations

from refault.linux import buffers
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .copies import _other
from .registry import buffer, needs, number, operation


@needs(_other)
@operation
def vm_read_there(world: World, step: Step) -> str:
    """``process_vm_readv(2)`` from the buffer, to where all is there."""
    return number(buffers.read_other(buffer(world, step), world.things[_other]))


@operation
def mem_read(world: World, step: Step) -> str:
    """``read(2)`` of ``/proc/self/mem``."""
    return number(buffers.read_proc_mem(buffer(world, step)))


@operation
def futex_wake(world: World, step: Step) -> str:
    """``FUTEX_WAKE`` of a shared word."""
    return number(buffers.futex_wake(buffer(world, step)))


@operation
def populate_read(world: World, step: Step) -> str:
    """``MADV_POPULATE_READ``."""
    return number(buffers.populate(buffer(world, step), write=False))


@operation
def populate_write(world: World, step: Step) -> str:
    """``MADV_POPULATE_WRITE``."""
    return number(buffers.populate(buffer(world, step), write=True))


@operation
def mlock(world: World, step: Step) -> str:
    """``mlock(2)``."""
    return number(buffers.mlock(buffer(world, step)))


@operation
def vmsplice(world: World, step: Step) -> str:
    """``vmsplice(2)``."""
    return number(buffers.vmsplice(buffer(world, step)))


@operation
def direct_read(world: World, step: Step) -> str:
    """``read(2)`` with ``O_DIRECT``."""
    return number(buffers.direct_read(buffer(world, step)))


@operation
def direct_write(world: World, step: Step) -> str:
    """``write(2)`` with ``O_DIRECT``."""
    return number(buffers.direct_write(buffer(world, step)))
