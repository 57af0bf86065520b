"""A machine for a scenario to happen on: a kernel, with the patches chosen, and its threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, NoReturn, TypeAlias, TypeVar, overload

from refault.explore import UserError, atomic
from refault.linux.diagnosis import diagnose
from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx, enabled
from refault.linux.include.linux.mm_types import MmStruct, Vm
from refault.linux.include.linux.sched.signal import SignalStruct
from refault.linux.include.uapi.signal import (
    EMPTY,
    Disposition,
    Handler,
    Sigaction,
    Signal,
    Sigset,
    blockable,
)
from refault.linux.invariants import page_tables
from refault.linux.kernel.entry.common import irqentry_exit_to_user_mode, system_call
from refault.linux.kernel.exit import do_exit, kill_process
from refault.linux.kernel.signal.syscalls import sys_kill, sys_tgkill
from refault.linux.kernel.trouble import unkillable
from refault.linux.memory import Memory
from refault.linux.mm.folio_lock import FolioWaitTable
from refault.linux.modelled import current
from refault.linux.process import AddressSpace
from refault.linux.task import Task
from refault.linux.tools.testing.selftests.mm.uffd_common import uffd_read_thread
from refault.linux.uffd import UserFaultFd
from refault.linux.user import Page
from refault.linux.virt.kvm.kvm_host import Kvm
from refault.linux.virt.kvm.mmu_notifier import kvm_init_mmu_notifier

if TYPE_CHECKING:
    from refault.explore import Program

F = TypeVar("F", bound=Callable[[], Any])
R = TypeVar("R")
Handlers: TypeAlias = Mapping[Signal, Handler | Disposition | Sigaction]
Target: TypeAlias = AddressSpace | Page | Task | str | Callable[[], Any]


class Kernel(Memory):
    """The kernel of a scenario: what it has, and the threads that run on it.

    ``patched`` maps names of modelled functions to what runs in their place; no names mean
    the base, Linux 6.18; ``asked`` are the functions that have been looked up so far. ``arch`` is
    the architecture, ``frames_per_cpu`` how many pages each CPU can allocate.
    """

    def __init__(
        self,
        program: Program,
        patched: Mapping[str, Callable[..., Any]] | None = None,
        *,
        arch: str = "x86",
        frames_per_cpu: int = 3,
    ) -> None:
        super().__init__(program)
        self.patched = dict(patched or {})
        self.asked: set[str] = set()
        self.arch = arch
        self.frames_per_cpu = frames_per_cpu
        self.tasks: dict[str, Task] = {}
        self.mms: list[MmStruct] = []
        self.processes: list[SignalStruct] = []
        self.folio_waits: FolioWaitTable | None = None
        self._named: dict[Callable[[], Any], str] = {}
        self.uffds: list[UserfaultfdCtx] = []
        program.context["kernel"] = self
        program.at_end(lambda view: diagnose(self, view))
        program.when_endless(lambda view: unkillable(self, view, ended=False))

    def task(self, name: str) -> Task:
        """Return a thread by its name."""
        return self.tasks[name]

    @overload
    def thread(self, function: F) -> F: ...

    @overload
    def thread(
        self,
        *,
        name: str = "",
        cpu: int | None = None,
        daemon: bool = False,
        process: AddressSpace | Page | None = None,
        handlers: Handlers | None = None,
        blocked: Iterable[Signal] = (),
        outside: bool = False,
    ) -> Callable[[F], F]: ...

    def thread(
        self,
        function: Callable[[], Any] | None = None,
        *,
        name: str = "",
        cpu: int | None = None,
        daemon: bool = False,
        process: AddressSpace | Page | None = None,
        handlers: Handlers | None = None,
        blocked: Iterable[Signal] = (),
        outside: bool = False,
    ) -> Any:
        """Run a function as a thread; a decorator, with or without arguments.

        The thread is called ``name`` or like the function, and has a CPU of its own unless told
        otherwise. A ``daemon`` may be left waiting for ever, as servers are.

        A thread of a ``process`` can be sent signals. ``handlers`` says what the process does with
        them (a function, ``SA_RESTART(function)``, ``SIG_IGN``), ``blocked`` which of them the
        thread blocks when it begins. A thread of no process has no signals; it is taken for one of
        the process that it deals with, unless it is ``outside``.
        """

        def start(function: F) -> F:
            called = name or function.__name__
            signals = self._signals(called, process, handlers or {}, blockable(blocked))
            self._start(called, function, cpu, daemon, *signals, outside=outside)
            self._named[function] = called
            return function

        return start if function is None else start(function)

    def _signals(
        self, name: str, process: AddressSpace | Page | None, handlers: Handlers, blocked: Sigset
    ) -> tuple[SignalStruct | None, Sigset]:
        """The process of a new thread, with its handlers added to it."""
        if process is None:
            if handlers or blocked:
                raise UserError(
                    f"thread {name} has handlers or blocked signals, but no process",
                    "say which process it belongs to: k.thread(process=…)",
                )
            return None, EMPTY
        signal = self._process(process)
        for sig, handler in handlers.items():
            signal.catch(sig, handler)
        return signal, blocked

    def _process(self, of: AddressSpace | Page) -> SignalStruct:
        """Return the process that an address space or a page belongs to, as signals see it."""
        found = next((s for s in self.processes if s.mm is of.mm), None)
        if found is None:
            found = SignalStruct(self.program, of.mm)
            self.processes.append(found)
        return found

    def kill(self, target: Target, sig: Signal) -> int:
        """``kill(2)``, or ``tgkill(2)`` if the target is a thread: by its name or its function.

        A system call of the thread that calls it; returns 0 or -errno.
        """
        if isinstance(target, AddressSpace | Page):
            return sys_kill(self._process(target), sig)
        return sys_tgkill(self._thread(target), sig)

    def _thread(self, target: str | Task | Callable[[], Any]) -> Task:
        if isinstance(target, Task):
            return target
        name = target if isinstance(target, str) else self._named.get(target, "")
        if name not in self.tasks:
            raise UserError(
                f"{target!r} is no thread of the story", f"there are {', '.join(self.tasks)}"
            )
        return self.tasks[name]

    def identical(self, *threads: str | Callable[[], Any]) -> None:
        """Say that threads, by name or function, do the same and may change places.

        States that differ only in which of them is where are then searched once. It is checked:
        of threads that allocate pages, each from a CPU of its own, it is not true, for page
        frames have numbers.
        """
        self.program.identical(
            *(self.program.task_named(self._thread(thread).name) for thread in threads)
        )

    def syscall(self, call: Callable[[], R]) -> R:
        """Make a system call of a piece of kernel code; signals interrupt and restart it."""
        return system_call(call)()

    def exit_group(self) -> NoReturn:
        """``exit_group(2)``: end all threads of the process that the running thread is in."""
        kill_process()

    def _start(
        self,
        name: str,
        function: Callable[[], Any],
        cpu: int | None,
        daemon: bool,
        process: SignalStruct | None = None,
        blocked: Sigset = EMPTY,
        outside: bool = False,
    ) -> None:
        if any(p.default is p.empty for p in inspect.signature(function).parameters.values()):
            raise UserError(
                f"thread {name} must be a function that takes no arguments",
                "give it what it needs by closure: lambda: work(page)",
            )
        if inspect.isgeneratorfunction(function) or inspect.iscoroutinefunction(function):
            raise UserError(
                f"thread {name} is a generator or a coroutine: calling it would run nothing",
                "write it as an ordinary function, without yield or await",
            )
        if name in self.tasks:
            raise UserError(
                f"two threads are called {name}", "give one of them another name: k.thread(name=…)"
            )
        where = len(self.tasks) if cpu is None else cpu
        self.tasks[name] = Task(
            self.program, name, where, daemon, process=process, blocked=blocked, outside=outside
        )
        self.add_task(self.tasks[name], self.frames_per_cpu)
        self.program.task(name, lambda: _run(function), daemon=daemon)

    def mm(self, name: str = "mm", *, thp: str | None = None) -> AddressSpace:
        """Make a process: an address space for threads to share.

        With ``thp`` its memory is of transparent huge pages: there is none yet (``""``), or a
        ``"huge page"`` from the beginning.
        """
        mm = MmStruct(self.program, name, self.first_pmd(thp))
        self.mms.append(mm)
        self.add_mm(mm)
        return AddressSpace(self, mm, thp=thp is not None)

    def kvm(self, process: AddressSpace | Page, name: str = "kvm") -> Kvm:
        """Make a virtual machine whose memory is that of a process, as far as it is mapped."""
        vm = Kvm(self.program, process.mm, name)
        kvm_init_mmu_notifier(vm)
        return vm

    def userfaultfd(
        self,
        process: AddressSpace,
        *,
        nonblock: bool = False,
        features: UffdFeature | None = UffdFeature.NONE,
        user_mode_only: bool = False,
        name: str = "uffd",
    ) -> UserFaultFd:
        """Open a userfaultfd for a process; ``AddressSpace.mmap()`` registers memory with it.

        Its handshake has been made with these ``features``; None leaves that to the story.
        """
        ctx = UserfaultfdCtx(
            self.program,
            name,
            process.mm,
            nonblock=nonblock,
            user_mode_only=user_mode_only,
            features=enabled(features),
        )
        self.uffds.append(ctx)
        return UserFaultFd(ctx)

    def add_fork_uffds(self, parent: MmStruct, child: MmStruct) -> None:
        """Set userfaultfds aside for a child, one for each whose monitor is told of forks."""
        for ctx in [ctx for ctx in self.uffds if ctx.mm is parent]:
            if ctx.features.values[0] & UffdFeature.EVENT_FORK:
                name = f"{child.name}.{ctx.name}"
                fresh = UserfaultfdCtx(
                    self.program,
                    name,
                    child,
                    nonblock=ctx.nonblock,
                    user_mode_only=ctx.user_mode_only,
                    features=UffdFeature.NONE,
                    parent=ctx,
                )
                self.uffds.append(fresh)

    def uffd(self, name: str) -> UserfaultfdCtx | None:
        """Return a userfaultfd by its name; None if that is empty."""
        return next(ctx for ctx in self.uffds if ctx.name == name) if name else None

    def uffd_page(
        self,
        prot: Vm = Vm.READ | Vm.WRITE,
        *,
        wp: bool = False,
        contents: str = "",
        protected: bool = False,
        pages: int = 1,
    ) -> tuple[Page, UserFaultFd]:
        """Make a process with one page and a userfaultfd that it is registered with.

        ``wp`` registers it for write-protection besides missing pages; see
        ``AddressSpace.mmap()`` for the rest.
        """
        process = self.mm()
        uffd = self.userfaultfd(process)
        page = process.mmap(
            prot, uffd=uffd, wp=wp, contents=contents, protected=protected, pages=pages
        )
        return page, uffd

    def monitor(
        self,
        uffd: UserFaultFd,
        *,
        wp: bool = False,
        name: str = "monitor",
        process: AddressSpace | Page | None = None,
    ) -> None:
        """Start the selftest's monitor, which serves faults for ever.

        With ``wp`` it write-protects what it fills. As a thread of the ``process`` it keeps that
        alive.
        """
        signals = self._process(process) if process is not None else None
        self._start(name, lambda: uffd_read_thread(uffd.ctx, wp), None, True, signals)

    def folio_wait_table(self) -> None:
        """Let tasks wait for folio locks as the kernel does, on wait queues, step by step.

        Otherwise these waits are taken to be right: whoever waits is blocked until the lock is
        free.
        """
        self.folio_waits = FolioWaitTable(self.program)

    def check_page_tables(self) -> None:
        """Look at all page tables in every state, for what they must never be."""
        self.program.invariant("page tables", lambda view: page_tables(self, view))

    def in_one_step(self, work: Callable[[], object]) -> None:
        """Let a thread do ``work`` without anybody seeing it half done.

        Not what the kernel does: it narrows a story down to one of two races.
        """
        with atomic():
            work()


def _run(function: Callable[[], object]) -> None:
    """Threads return nothing: what a story's last line happens to be is no result."""
    function()
    if current().signals is not None:
        irqentry_exit_to_user_mode()
        do_exit()
