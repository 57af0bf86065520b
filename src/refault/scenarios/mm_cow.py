"""Whose page is it: fork, copy on write, and references that are no mappings.

A page that several have must be copied before it is written, and one that a device writes to must
not be. Who decides that, on what, has been repaired many times.
"""

from __future__ import annotations

from refault.linux import Kernel
from refault.linux.include.linux.mm_types import Vm
from refault.linux.syscalls import proc_mem_write
from refault.scenarios.api import scenario


@scenario(source="fork(2): the child has a copy", expect={"": "holds"})
def child_has_a_copy(k: Kernel) -> None:
    """Parent and child write to what was one page, and neither sees the other's."""
    process = k.mm()
    page = process.mmap(contents="page")
    child = process.child()

    @k.thread
    def parent() -> None:
        page.store(1)
        process.fork(child)
        page.store(2)
        assert page.load() == 2

    @k.thread
    def first() -> None:
        child.is_born()
        mine = page.of(child)
        assert mine.load() == 1
        mine.store(3)
        assert mine.load() == 3


@scenario(
    source="Linus Torvalds, 2020: gup: document and work around the COW can break either way issue",
    expect={
        "": "holds",
        "without anon_exclusive": "holds",
        "without anon_exclusive, without wp_by_refcount, without wp_drain_lru": (
            "assertion failure"
        ),
    },
)
def child_keeps_a_reference_in_a_pipe(k: Kernel) -> None:
    """A child puts its page into a pipe and unmaps it: it must not see what the parent writes.

    By its mappings alone the page is the parent's. By its references it is not.
    """
    process = k.mm()
    page = process.mmap(contents="page")
    child = process.child()

    @k.thread
    def parent() -> None:
        page.store(1)
        process.fork(child)
        page.store(2)

    @k.thread
    def first() -> None:
        child.is_born()
        mine = page.of(child)
        pipe = mine.pin(longterm=False)
        mine.munmap()
        assert pipe.read() == 1, "the pipe has what the parent wrote later"


@scenario(
    source="Jason Gunthorpe, 2020: mm/gup: prevent gup_fast from racing with COW during fork",
    expect={"": "holds", "without fork_write_protect_seq": "assertion failure"},
)
def pinned_while_forking(k: Kernel) -> None:
    """A page is pinned for a device without any lock while another thread forks.

    The fork finds it unpinned and makes it shared; the pin finds the PTE still writable. The next
    write of the program copies the page, and what the device writes goes to the old one.
    """
    process = k.mm()
    page = process.mmap(contents="page")
    child = process.child()

    @k.thread
    def program() -> None:
        device = page.pin(write=True)
        page.store(1)
        device.write(2)
        assert page.load() == 2, "the device writes to a page that is not mapped any more"

    @k.thread
    def forker() -> None:
        process.fork(child)


@scenario(
    source="Suren Baghdasaryan, 2023: fork: lock VMAs of the parent process when forking",
    expect={
        "": "holds",
        "without fork_locks_vmas": "assertion failure",
        "without fork_locks_vmas, without per_vma_lock": "holds",
    },
)
def fault_while_forking(k: Kernel) -> None:
    """A thread faults under the lock of its VMA while another one forks.

    The fork makes the page read-only and flushes at its end. Until then a third thread writes by
    its TLB, which goes to the page that the fault has just copied.
    """
    k.tlbs()
    process = k.mm()
    page = process.mmap(contents="page")
    child = process.child()

    @k.thread
    def writer() -> None:
        page.add(1)
        page.add(1)
        assert page.load() == 2, "a write is lost"

    @k.thread
    def faulter() -> None:
        page.add(0)

    @k.thread
    def forker() -> None:
        process.fork(child)


@scenario(
    source="Linus Torvalds, 2016: mm: remove gup_flags FOLL_WRITE games from __get_user_pages()",
    expect={"": "holds", "without foll_force_keeps_write": "assertion failure"},
)
def dirty_cow(k: Kernel) -> None:
    """``/proc/self/mem`` may write to a private mapping that is read-only, but never to the file.

    The write gets a copy, and MADV_DONTNEED drops it. A second look that asks for no write any
    more, for "the copy was made", takes the page of the file.
    """
    process, file = k.mm(), k.file()
    mine = process.mmap(Vm.READ, file=file)
    shared = k.mm("reader").mmap(file=file, shared=True)

    @k.thread
    def writer() -> None:
        proc_mem_write(mine, 1)

    @k.thread
    def madviser() -> None:
        mine.dontneed()
        assert shared.load() == 0, "the file was written"


@scenario(
    source="Michal Hocko, 2017: mm, oom: fix potential data corruption when oom_reaper races with"
    " writer",
    expect={"": "SIGBUS", "without oom_unstable": "assertion failure"},
)
def reaped_while_in_use(k: Kernel) -> None:
    """A process whose memory is being reaped must not read zeroes in its place.

    It is going to die, but it may still be writing what it reads to a file.
    """
    process = k.mm()
    page = process.mmap(contents="page")

    @k.thread
    def victim() -> None:
        page.store(7)
        assert page.load() == 7, "zeroes in the place of what was there"

    @k.thread
    def oom_reaper() -> None:
        process.oom_reap()
