"""System calls that change mappings, and advice about pages."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import Vm
from refault.linux.syscalls import madvise_populate
from refault.litmus.model.world import PROTECTIONS, World
from refault.litmus.program import Step

from .registry import at, number, operation


def _prot(step: Step) -> Vm:
    return PROTECTIONS[step.args["prot"]]


@operation
def mprotect(world: World, step: Step) -> str:
    """``mprotect(2)``."""
    return number(at(world, step).mprotect(_prot(step), step.args["pages"]))


@operation
def mmap(world: World, step: Step) -> str:
    """``mmap(2)`` of private anonymous memory, over what is there."""
    return number(at(world, step).mmap_fixed(step.args["pages"], _prot(step)))


@operation
def guard(world: World, step: Step) -> str:
    """``madvise(MADV_GUARD_INSTALL)``."""
    return number(at(world, step).guard(step.args["pages"]))


@operation
def unguard(world: World, step: Step) -> str:
    """``madvise(MADV_GUARD_REMOVE)``."""
    return number(at(world, step).unguard(step.args["pages"]))


@operation
def populate(world: World, step: Step) -> str:
    """``madvise(MADV_POPULATE_READ)`` or ``WRITE``."""
    page = at(world, step)
    return number(madvise_populate(page, step.args["pages"], write=step.args["write"]))
