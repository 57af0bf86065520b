"""System calls that copy from user memory, or to it."""

from __future__ import annotations

from refault.linux import buffers
from refault.linux.fs.pipe import Pipe
from refault.linux.include.linux.fs import File
from refault.linux.net.unix.af_unix import UnixSock
from refault.litmus.model.world import World
from refault.litmus.program import Step

from .registry import buffer, needs, number, operation


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


@operation
def send(world: World, step: Step) -> str:
    """``send(2)``."""
    return number(buffers.send(buffer(world, step)))


@needs(_socket)
@operation
def receive(world: World, step: Step) -> str:
    """``recv(2)``."""
    return number(buffers.receive(world.things[_socket], buffer(world, step)))


@operation
def uname(world: World, step: Step) -> str:
    """``uname(2)``."""
    return number(buffers.uname(buffer(world, step)))


@operation
def clock_gettime(world: World, step: Step) -> str:
    """``clock_gettime(2)``."""
    return number(buffers.clock_gettime(buffer(world, step)))


@operation
def nanosleep(world: World, step: Step) -> str:
    """``nanosleep(2)``."""
    return number(buffers.nanosleep(buffer(world, step)))


@operation
def mincore(world: World, step: Step) -> str:
    """``mincore(2)``, with the answer in the page that is asked about."""
    return number(buffers.mincore(buffer(world, step)))


@operation
def access(world: World, step: Step) -> str:
    """``access(2)``."""
    return number(buffers.access(buffer(world, step)))


@needs(_other)
@operation
def vm_read_here(world: World, step: Step) -> str:
    """``process_vm_readv(2)`` to the buffer, from where all is there."""
    to = buffer(world, step)
    return number(buffers.read_other(world.things[_other]._replace(length=to.length), to))
