"""System calls that copy from user memory, or to it."""

from __future__ import annotations

from refault.linux import buffers
from refault.linux.fs.pipe import Pipe
from refault.linux.include.linux.fs import File
from refault.linux.net.unix.af_unix import UnixSock
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .registry import buffer, needs, number, operation, plain


def _pipe(world: World) -> Pipe:
    return Pipe(world.kernel.program)


def _file(world: World) -> File:
    return world.kernel.file("file")


def _socket(world: World) -> UnixSock:
    return UnixSock(world.kernel.program)


def _other(world: World) -> buffers.Buffer:
    page = world.process.mmap(contents="page", pages=2)
    return buffers.Buffer(page.mm, page.address, 0)


@needs(_pipe)
@operation
def pipe_write(world: World, step: Step) -> str:
    """``write(2)`` to a pipe."""
    return number(buffers.write_pipe(world.things[_pipe], buffer(world, step)))


@needs(_pipe)
@operation
def pipe_read(world: World, step: Step) -> str:
    """``read(2)`` of a pipe."""
    return number(buffers.read_pipe(world.things[_pipe], buffer(world, step)))


@needs(_file)
@operation
def file_write(world: World, step: Step) -> str:
    """``write(2)`` to a file."""
    return number(buffers.write_file(world.things[_file], buffer(world, step)))


@needs(_file)
@operation
def file_read(world: World, step: Step) -> str:
    """``read(2)`` of a file."""
    return number(buffers.read_file(world.things[_file], buffer(world, step)))


@needs(_socket)
@operation
def receive(world: World, step: Step) -> str:
    """``recv(2)``."""
    return number(buffers.receive(world.things[_socket], buffer(world, step)))


@needs(_other)
@operation
def vm_read_here(world: World, step: Step) -> str:
    """``process_vm_readv(2)`` to the buffer, from where all is there."""
    to = buffer(world, step)
    return number(buffers.read_other(world.things[_other]._replace(length=to.length), to))


for call in (
    buffers.send,
    buffers.uname,
    buffers.clock_gettime,
    buffers.nanosleep,
    buffers.mincore,
    buffers.access,
):
    plain(call)
