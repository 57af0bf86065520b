"""System calls that reach for user memory, as functions of the pages they are about.

Each is one system call of the thread that calls it, and returns what that returns: a count or
-errno. Those that use GUP count pages, those that copy count bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.arch.x86.kvm.x86 import kvm_arch_vcpu_ioctl_run
from refault.linux.fs.direct_io import dio_read, dio_write, pipe_read, vmsplice_to_pipe
from refault.linux.fs.pipe import Pipe, pipe_write
from refault.linux.include.uapi.errno import EFAULT
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.entry.common import system_call
from refault.linux.kernel.futex.core import get_futex_key
from refault.linux.lib.usercopy import _copy_from_user, _copy_to_user
from refault.linux.mm.filemap_rw import filemap_read, generic_perform_write
from refault.linux.mm.gup.fixup import fault_in_safe_writeable, fault_in_user_writeable
from refault.linux.mm.mempolicy import lookup_node
from refault.linux.mm.populate import __mm_populate
from refault.linux.mm.populate import madvise_populate as populate
from refault.linux.mm.process_vm_access import Copied, access_remote_vm, process_vm_rw
from refault.linux.virt.kvm.kvm_host import Exit, Kvm

if TYPE_CHECKING:
    from refault.linux.include.linux.fs import File
    from refault.linux.user import Page


@system_call
def process_vm_readv(page: Page, pages: int = 1) -> Copied:
    """Read another process, by pinning its pages."""
    return _in_pages(process_vm_rw(page.mm, page.address, pages * PAGE_SIZE))


@system_call
def process_vm_writev(page: Page, value: int, pages: int = 1) -> int:
    """Write to another process, by pinning its pages."""
    length = pages * PAGE_SIZE
    return _in_pages(process_vm_rw(page.mm, page.address, length, write=value)).ret


def _in_pages(copied: Copied) -> Copied:
    return copied._replace(ret=copied.ret // PAGE_SIZE) if copied.ret > 0 else copied


@system_call
def proc_mem_read(page: Page, pages: int = 1) -> Copied:
    """Read ``/proc/PID/mem``, as debuggers do."""
    return access_remote_vm(page.mm, page.address, pages)


@system_call
def proc_mem_write(page: Page, value: int) -> int:
    """Write ``/proc/PID/mem``, also where the mapping is read-only."""
    return access_remote_vm(page.mm, page.address, 1, write=value).ret


@system_call
def madvise_populate(page: Page, pages: int = 1, *, write: bool = True) -> int:
    """``MADV_POPULATE_WRITE``, or ``READ``."""
    return populate(page.mm, page.address, pages, write=write)


@system_call
def mlock(page: Page, pages: int = 1) -> int:
    """``mlock(2)``, as far as it fills the memory."""
    return __mm_populate(page.mm, page.address, pages)


@system_call
def o_direct_read(page: Page, value: int, pages: int = 1) -> int:
    """``read(2)`` with ``O_DIRECT`` into the pages; the device delivers ``value``."""
    return dio_read(page.mm, page.address, pages, value)


@system_call
def o_direct_write(page: Page, pages: int = 1) -> Copied:
    """``write(2)`` with ``O_DIRECT`` from the pages."""
    return dio_write(page.mm, page.address, pages)


@system_call
def vmsplice(page: Page, pages: int = 1) -> Copied:
    """Put the pages into a pipe; ``read_pipe()`` takes them out again."""
    return vmsplice_to_pipe(page.mm, page.address, pages)


@system_call
def read_pipe(pfn: int) -> int:
    """Read a page from the pipe."""
    return pipe_read(pfn)


@system_call
def write_pipe(pipe: Pipe, page: Page, count: int) -> int:
    """``write(2)`` to a pipe: the bytes, or -errno."""
    return pipe_write(pipe, page.mm, page.address, count)


@system_call
def kvm_run(kvm: Kvm, page: Page, value: int | None = None, *, code: Page | None = None) -> Exit:
    """``KVM_RUN`` of a guest that loads from a page, or stores a ``value`` to it, and exits.

    Its instruction is in the page ``code``, if that matters.
    """
    return kvm_arch_vcpu_ioctl_run(kvm, page.address, value, code.address if code else None)


@system_call
def futex_key(page: Page) -> int:
    """What a futex call does first with a shared word: 0 or -errno (``get_futex_key()``)."""
    return get_futex_key(page.mm, page.address, write=True)


@system_call
def futex_fault_in(page: Page) -> int:
    """What a futex call does where its atomic operation faults: 0 or -errno."""
    return fault_in_user_writeable(page.mm, page.address)


@system_call
def write_file(file: File, page: Page, count: int) -> int:
    """``write(2)`` to a file, from its beginning: bytes, or -errno."""
    return generic_perform_write(file, page.mm, page.address, count)


@system_call
def read_file(file: File, page: Page, count: int) -> int:
    """``read(2)`` of a file, from its beginning: bytes, or -errno."""
    return filemap_read(file, page.mm, page.address, count)


@system_call
def ioctl_in(page: Page, length: int) -> int:
    """An ``ioctl(2)`` that copies its argument from the user: 0 or -EFAULT."""
    return -EFAULT if _copy_from_user(page.mm, page.address, length).left else 0


@system_call
def ioctl_out(page: Page, value: int, length: int) -> int:
    """An ``ioctl(2)`` that has done its work and copies the answer to the user: 0 or -EFAULT."""
    return -EFAULT if _copy_to_user(page.mm, page.address, value, length) else 0


@system_call
def fault_in_safely(page: Page) -> bool:
    """What ``read(2)`` of a file system does before it copies under its locks: whether it could."""
    return fault_in_safe_writeable(page.mm, page.address)


@system_call
def get_mempolicy(page: Page) -> int:
    """``get_mempolicy(2)`` with ``MPOL_F_ADDR``: the node of the page, 0, or -errno."""
    return lookup_node(page.mm, page.address)
