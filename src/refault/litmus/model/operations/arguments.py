"""Ioctls and their arguments: handshakes, answers, and what the kernel has to refuse."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from refault.linux.fs.userfaultfd.ioctl import (
    Request,
    userfaultfd_copy,
    userfaultfd_wake,
    userfaultfd_writeprotect,
    userfaultfd_zeropage,
)
from refault.linux.fs.userfaultfd.poll import Poll
from refault.linux.fs.userfaultfd.register import userfaultfd_register, userfaultfd_unregister
from refault.linux.include.uapi.userfaultfd import (
    CopyMode,
    RegisterMode,
    UffdIoctl,
    WriteprotectMode,
    ZeropageMode,
)
from refault.linux.kernel.entry.common import system_call
from refault.linux.mm.userfaultfd.copy import Source
from refault.litmus.model.world import World, features
from refault.litmus.program import Step

from .registry import at, number, operation, uffd

NOWHERE = 0x1000
"""An address of the monitor's at which nothing is mapped."""


@operation
def poll(world: World, step: Step) -> str:
    """``poll(2)`` without waiting."""
    found = uffd(world, step).poll(wait=False)
    return " ".join(bit.name or "" for bit in Poll(found)) or "nothing"


@operation
def handshake(world: World, step: Step) -> str:
    """``UFFDIO_API``."""
    wanted = features(tuple(step.args["features"].split()))
    found = world.uffd.api(wanted, api=step.args["api"])
    return number(found.ret) if found.ret else f"{int(found.features):#x}"


def modes(step: Step) -> RegisterMode:
    """The modes of a registration, by their names."""
    return RegisterMode(sum(RegisterMode[word.upper()] for word in step.args["modes"].split()))


@operation
def registered(world: World, step: Step) -> str:
    """``UFFDIO_REGISTER``, and the ioctls that it says."""
    found = world.uffd.registered(at(world, step), modes(step), pages=step.args["pages"])
    return number(found.ret) if found.ret else ioctls(found.ioctls)


def ioctls(found: int) -> str:
    """Ioctls of a range, by their names."""
    return " ".join(sorted((bit.name or "").lower() for bit in UffdIoctl if bit and bit & found))


@operation
def ask(world: World, step: Step) -> str:
    """An ioctl with arguments as they are."""
    ctx, mode = world.uffd.ctx, step.args["mode"]
    request = Request(at(world, step).address + step.args["offset"], step.args["length"])
    source = None if step.args["source"] else Source(world.elsewhere.mm, NOWHERE)
    ioctl: Mapping[str, Callable[[], int]] = {
        "copy": lambda: userfaultfd_copy(ctx, request, CopyMode(mode), source),
        "zeropage": lambda: userfaultfd_zeropage(ctx, request, ZeropageMode(mode)),
        "wake": lambda: userfaultfd_wake(ctx, request),
        "writeprotect": lambda: userfaultfd_writeprotect(ctx, request, WriteprotectMode(mode)),
        "register": lambda: userfaultfd_register(ctx, request, RegisterMode(mode)).ret,
        "unregister": lambda: userfaultfd_unregister(ctx, request),
    }
    return number(system_call(ioctl[step.args["ioctl"]])())
