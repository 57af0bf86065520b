"""System calls with a buffer of user memory, at any address and of any length.

Each is one system call of the thread that calls it, and returns what that returns: bytes, 0, or
-errno. ``syscalls`` has those that take whole pages.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.linux.arch.x86.kvm.emulate import vcpu_run_emulated
from refault.linux.fs.direct_io import vmsplice_to_pipe
from refault.linux.fs.iomap.direct_io import iomap_dio_rw
from refault.linux.fs.namei import do_faccessat
from refault.linux.fs.pipe import Pipe, anon_pipe_read, pipe_write
from refault.linux.fs.proc.base import mem_rw
from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import system_call
from refault.linux.kernel.futex.core import get_futex_key
from refault.linux.kernel.sys import newuname
from refault.linux.kernel.time import time
from refault.linux.lib.iov_iter import reach, span
from refault.linux.mm import mincore as residency
from refault.linux.mm.filemap_rw import filemap_read, generic_perform_write
from refault.linux.mm.populate import __mm_populate, madvise_populate
from refault.linux.mm.process_vm_access import Local, process_vm_rw
from refault.linux.net.unix.af_unix import (
    UnixSock,
    unix_stream_read_generic,
    unix_stream_sendmsg,
)
from refault.linux.virt.kvm.kvm_host import Exit, Kvm

if TYPE_CHECKING:
    from refault.linux.include.linux.fs import File

DATA = 3
"""What pipes, sockets and disks deliver."""


class Buffer(NamedTuple):
    """So many bytes of a process's memory."""

    mm: MmStruct
    address: int
    length: int

    @property
    def first(self) -> int:
        """The address of the page in which it begins."""
        return self.address - self.address % PAGE_SIZE

    @property
    def pages(self) -> int:
        """How many pages it lies in."""
        return span(self.address, self.length)


@system_call
def write_pipe(pipe: Pipe, of: Buffer) -> int:
    """``write(2)`` to a pipe."""
    return pipe_write(pipe, *of)


@system_call
def read_pipe(pipe: Pipe, to: Buffer) -> int:
    """``read(2)`` of a pipe that is full."""
    return anon_pipe_read(pipe, to.mm, to.address, DATA, to.length)


@system_call
def write_file(file: File, of: Buffer) -> int:
    """``write(2)`` to a file, from its beginning."""
    return generic_perform_write(file, *of)


@system_call
def read_file(file: File, to: Buffer) -> int:
    """``read(2)`` of a file, from its beginning."""
    return filemap_read(file, *to)


@system_call
def send(of: Buffer) -> int:
    """``send(2)`` to a socket of another process."""
    return unix_stream_sendmsg(*of)


@system_call
def receive(sock: UnixSock, to: Buffer) -> int:
    """``recv(2)`` of what somebody has sent."""
    return unix_stream_read_generic(sock, to.mm, to.address, DATA, to.length)


@system_call
def uname(to: Buffer) -> int:
    """``uname(2)``."""
    return newuname(to.mm, to.address)


@system_call
def clock_gettime(to: Buffer) -> int:
    """``clock_gettime(2)``, by a real system call."""
    return time.clock_gettime(to.mm, to.address)


@system_call
def nanosleep(of: Buffer) -> int:
    """``nanosleep(2)``."""
    return time.nanosleep(of.mm, of.address)


@system_call
def mincore(to: Buffer) -> int:
    """``mincore(2)`` of the page that the answer is written to."""
    return residency.mincore(to.mm, to.first, to.address)


@system_call
def access(path: Buffer) -> int:
    """``access(2)``."""
    return do_faccessat(path.mm, path.address)


@system_call
def read_other(remote: Buffer, local: Buffer) -> int:
    """``process_vm_readv(2)``."""
    return process_vm_rw(
        remote.mm, remote.address, remote.length, local=Local(local.mm, local.address)
    ).ret


@system_call
def read_proc_mem(of: Buffer) -> int:
    """``read(2)`` of ``/proc/PID/mem``, to where there is room."""
    return mem_rw(*of)


@system_call
def futex_wake(word: Buffer) -> int:
    """``FUTEX_WAKE`` of a shared word on which nobody waits."""
    return get_futex_key(word.mm, word.address, write=False)


@system_call
def populate(of: Buffer, *, write: bool) -> int:
    """``MADV_POPULATE_READ`` or ``WRITE``."""
    return madvise_populate(of.mm, of.first, of.pages, write=write)


@system_call
def mlock(of: Buffer) -> int:
    """``mlock(2)``, as far as it fills the memory."""
    return __mm_populate(of.mm, of.first, of.pages)


@system_call
def vmsplice(of: Buffer) -> int:
    """``vmsplice(2)`` of as many pages as there are; the pipe keeps them."""
    found = vmsplice_to_pipe(of.mm, of.first, of.pages)
    return reach(found.ret, of.address, of.length) if found.ret > 0 else found.ret


@system_call
def direct_read(to: Buffer) -> int:
    """``read(2)`` with ``O_DIRECT``, of a file on ext4."""
    return iomap_dio_rw(*to, DATA)


@system_call
def direct_write(of: Buffer) -> int:
    """``write(2)`` with ``O_DIRECT``, to a file on ext4."""
    return iomap_dio_rw(*of, None)


@system_call
def kvm_run_emulated(kvm: Kvm, at: Buffer, value: int | None = None) -> Exit:
    """``KVM_RUN`` of a guest whose instructions the host emulates; as ``syscalls.kvm_run()``."""
    return vcpu_run_emulated(kvm, at.address, value)
