"""The situations that were recorded, told for the model.

Each is a function of a kernel and a ``Stage``, as scenarios are functions of a kernel. The thread
whose calls matter is the ``faulter``, and the first one; the ``monitor`` waits in ``poll(2)``
before the recording begins. Processes have TLBs, for flushes are among what was recorded.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

from refault.linux import Kernel
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.linux.fs.pipe import Pipe
from refault.linux.include.uapi.signal import SIGUSR1, Handler, Signal
from refault.linux.process import AddressSpace
from refault.linux.syscalls import kvm_run, madvise_populate, process_vm_readv, write_pipe
from refault.linux.uffd import UserFaultFd
from refault.linux.user import Page
from refault.live.functions.execution import TIMER, Stage, Story

COPIED_BYTES = 100
"""How long the copy from user memory is that a pipe makes."""


class Told(NamedTuple):
    """A situation: its name, what happens in words, and the story."""

    name: str
    title: str
    story: Story


SITUATIONS: dict[str, Told] = {}
"""All of them by name, in the order in which to show them."""


def situation(name: str, title: str = "") -> Callable[[Story], Story]:
    """Enter a story under a name; the title is its docstring unless given."""

    def enter(story: Story) -> Story:
        said = title or (story.__doc__ or "").strip().rstrip(".")
        SITUATIONS[name] = Told(name, said, story)
        return story

    return enter


def _memory(k: Kernel) -> AddressSpace:
    k.tlbs()
    k.cpu_features = X86Feature.ERMS
    return k.mm()


def _faulter(
    k: Kernel,
    stage: Stage,
    page: Page,
    act: Callable[[], object],
    *,
    before: Callable[[], object] | None = None,
    handlers: dict[Signal, Handler] | None = None,
) -> None:
    """Start the thread that faults: it does ``act`` on the stage."""

    @k.thread(name="faulter", process=page, handlers=handlers)
    def faulter() -> None:
        if before is not None:
            before()
        stage.begin()
        act()
        stage.end()


def _monitor(k: Kernel, stage: Stage, uffd: UserFaultFd, *acts: Callable[[], object]) -> None:
    """Start the thread that waits for a message before each of what it does."""

    @k.thread(name="monitor")
    def monitor() -> None:
        for act in acts:
            uffd.poll()
            uffd.read()
            act()
        stage.end()


def _touched(k: Kernel, stage: Stage, act: Callable[[Page], object], **memory: str | bool) -> None:
    page = _memory(k).mmap(**memory)  # type: ignore[arg-type]
    _faulter(k, stage, page, lambda: act(page))


@situation("first-touch")
def first_touch(k: Kernel, stage: Stage) -> None:
    """A first store to anonymous memory."""
    _touched(k, stage, lambda page: page.store(1))


situation("first-touch-graph", "The same, with spin locks")(first_touch)


@situation("zero-page-read")
def zero_page_read(k: Kernel, stage: Stage) -> None:
    """A first load, which maps the zero page."""
    _touched(k, stage, lambda page: page.load(), fresh=True)


@situation("zero-page-written")
def zero_page_written(k: Kernel, stage: Stage) -> None:
    """A store to where the zero page is mapped."""
    _touched(k, stage, lambda page: page.store(1), contents="zero page", fresh=True)


@situation("cow-copied")
def cow_copied(k: Kernel, stage: Stage) -> None:
    """A store after fork(2), with the child alive: the page is copied."""
    process = _memory(k)
    page = process.mmap(contents="page")
    child = process.child()
    _faulter(k, stage, page, lambda: page.store(1), before=lambda: process.fork(child))


@situation("cow-reused")
def cow_reused(k: Kernel, stage: Stage) -> None:
    """A store after fork(2), with the child gone: the page is reused."""
    process = _memory(k)
    page = process.mmap(contents="page")
    child = process.child()
    gone = k.program.cell("the child is gone", False)

    def fork_and_wait() -> None:
        process.fork(child)
        gone.wait(bool)

    _faulter(k, stage, page, lambda: page.store(1), before=fork_and_wait)

    @k.thread(name="child")
    def unmap() -> None:
        child.is_born()
        page.of(child).munmap()
        gone.write(True)


def _served(
    k: Kernel,
    stage: Stage,
    act: Callable[[Page], object],
    *,
    fresh: bool = False,
) -> None:
    """A page that is missing, touched by ``act`` and then filled by UFFDIO_COPY."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd, fresh=fresh)
    _faulter(k, stage, page, lambda: act(page))
    _monitor(k, stage, uffd, lambda: uffd.copy(page))


@situation("uffd-missing")
def uffd_missing(k: Kernel, stage: Stage) -> None:
    """A load of a missing page, filled by UFFDIO_COPY."""
    _served(k, stage, lambda page: page.load())


situation("uffd-missing-graph", "The same, with spin locks")(uffd_missing)


@situation("uffd-missing-shmem")
def uffd_missing_shmem(k: Kernel, stage: Stage) -> None:
    """The same of shared memory."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd, file=k.tmpfs_file(cached=False), shared=True)
    _faulter(k, stage, page, page.load)
    _monitor(k, stage, uffd, lambda: uffd.copy(page))


@situation("uffd-wp")
def uffd_wp(k: Kernel, stage: Stage) -> None:
    """A store to a write-protected page, then unprotected."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd, wp=True, contents="page")
    _faulter(k, stage, page, lambda: page.store(1), before=lambda: uffd.protect(page))
    _monitor(k, stage, uffd, lambda: uffd.unprotect(page))


@situation("uffd-in-gup")
def uffd_in_gup(k: Kernel, stage: Stage) -> None:
    """process_vm_readv(2) of a missing page."""
    _served(k, stage, process_vm_readv, fresh=True)


@situation("uffd-in-copy")
def uffd_in_copy(k: Kernel, stage: Stage) -> None:
    """write(2) to a pipe from a missing page."""
    pipe = Pipe(k.program)
    _served(k, stage, lambda page: write_pipe(pipe, page, COPIED_BYTES), fresh=True)


@situation("uffd-in-populate")
def uffd_in_populate(k: Kernel, stage: Stage) -> None:
    """madvise(MADV_POPULATE_READ) of a missing page."""
    _served(k, stage, lambda page: madvise_populate(page, write=False), fresh=True)


@situation("uffd-refuses-copy")
def uffd_refuses_copy(k: Kernel, stage: Stage) -> None:
    """write(2) from a missing page of a userfaultfd that is for user mode only."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True, user_mode_only=True)
    page, pipe = process.mmap(uffd=uffd), Pipe(k.program)
    _faulter(k, stage, page, lambda: write_pipe(pipe, page, COPIED_BYTES))


@situation("signal-in-fault")
def signal_in_fault(k: Kernel, stage: Stage) -> None:
    """A signal that is handled, during a load of a missing page."""
    _signalled(k, stage, lambda process: _handler(k, process))


def _signalled(k: Kernel, stage: Stage, handler: Callable[[AddressSpace], Handler | None]) -> None:
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd, fresh=True)
    handle = handler(process) or _nothing
    _faulter(k, stage, page, page.load, handlers={SIGUSR1: handle})
    _monitor(k, stage, uffd, lambda: k.kill("faulter", SIGUSR1), lambda: uffd.copy(page))


def _nothing() -> None:
    """A handler that does nothing."""


@situation("signal-in-copy")
def signal_in_copy(k: Kernel, stage: Stage) -> None:
    """A signal during write(2) from a missing page, which is not filled."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page, pipe = process.mmap(uffd=uffd, fresh=True), Pipe(k.program)
    handlers: dict[Signal, Handler] = {SIGUSR1: lambda: None}
    write = partial(write_pipe, pipe, page, COPIED_BYTES)
    _faulter(k, stage, page, write, handlers=handlers)
    _monitor(k, stage, uffd, lambda: k.kill("faulter", SIGUSR1))


@situation("signal-in-fault-plain")
def signal_in_fault_plain(k: Kernel, stage: Stage) -> None:
    """A signal during a load of a missing page, whose handler touches nothing new."""
    _signalled(k, stage, lambda _: None)


def _handler(k: Kernel, process: AddressSpace) -> Handler:
    """A handler that writes to shared memory, for the first time."""
    seen = process.mmap(file=k.tmpfs_file(cached=True), shared=True)
    return lambda: seen.store(1)


def _guest(k: Kernel, stage: Stage, *, kicked: bool = False, quiet: bool = False) -> None:
    """A guest whose page is filled at once, or when a signal has not got it out in time."""
    process = _memory(k)
    uffd = k.userfaultfd(process, nonblock=True)
    page = process.mmap(uffd=uffd)
    code = process.mmap(contents="page")
    handler = _nothing if quiet else _handler(k, process)
    vm = k.kvm(page)
    waited = k.program.cell("waited for", "")

    def run() -> None:
        kvm_run(vm, page, code=code)
        waited.write("the guest")

    _faulter(k, stage, page, run, handlers={SIGUSR1: handler})

    def serve() -> None:
        if kicked:
            k.kill("faulter", SIGUSR1)
            waited.wait(bool)
        if waited.read() != "the guest":
            uffd.copy(page)

    _monitor(k, stage, uffd, serve)

    @k.thread(name=TIMER)
    def timer() -> None:
        waited.write("long enough")


@situation("uffd-in-guest")
def uffd_in_guest(k: Kernel, stage: Stage) -> None:
    """A guest of KVM loads a missing page."""
    _guest(k, stage)


@situation("signal-in-guest")
def signal_in_guest(k: Kernel, stage: Stage) -> None:
    """A signal while a guest of KVM waits for a missing page."""
    _guest(k, stage, kicked=True)


@situation("signal-in-guest-plain")
def signal_in_guest_plain(k: Kernel, stage: Stage) -> None:
    """The same, and its handler touches nothing new."""
    _guest(k, stage, kicked=True, quiet=True)
