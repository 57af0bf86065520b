"""System calls that have GUP fetch pages."""

from __future__ import annotations

from refault.linux import buffers
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .copies import _other
from .registry import buffer, needs, number, operation, plain


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
def populate_read(world: World, step: Step) -> str:
    """``MADV_POPULATE_READ``."""
    return number(buffers.populate(buffer(world, step), write=False))


@operation
def populate_write(world: World, step: Step) -> str:
    """``MADV_POPULATE_WRITE``."""
    return number(buffers.populate(buffer(world, step), write=True))


for call in (
    buffers.futex_wake,
    buffers.mlock,
    buffers.vmsplice,
    buffers.direct_read,
    buffers.direct_write,
):
    plain(call)
