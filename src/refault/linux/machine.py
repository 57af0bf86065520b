"""A machine for a scenario to happen on: a kernel, with the patches chosen, and its threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, overload

from refault.explore import UserError, atomic
from refault.linux.diagnosis import diagnose
from refault.linux.fs.userfaultfd.ctx import UffdFeature, UserfaultfdCtx
from refault.linux.include.linux.mm_types import MmStruct, Vm
from refault.linux.include.linux.page import Folio, Frame
from refault.linux.task import Task
from refault.linux.tools.testing.selftests.mm.uffd_common import uffd_read_thread
from refault.linux.user import BOOT_CPU, AddressSpace, Page, UserFaultFd

if TYPE_CHECKING:
    from refault.explore import Cell, Program

F = TypeVar("F", bound=Callable[[], Any])


class Kernel:
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
        self.program = program
        self.patched = dict(patched or {})
        self.asked: set[str] = set()
        self.arch = arch
        self.frames_per_cpu = frames_per_cpu
        self.tasks: dict[str, Task] = {}
        self.frames: dict[int, Frame] = {}
        self.mms: list[MmStruct] = []
        self.uffds: list[UserfaultfdCtx] = []
        self.swap: list[Cell[int | None]] = [
            program.cell(f"swap slot {slot}", None) for slot in range(2)
        ]
        program.context["kernel"] = self
        program.at_end(lambda view: diagnose(self, view))

    def task(self, name: str) -> Task:
        """Return a thread by its name."""
        return self.tasks[name]

    @overload
    def thread(self, function: F) -> F: ...

    @overload
    def thread(
        self, *, name: str = "", cpu: int | None = None, daemon: bool = False
    ) -> Callable[[F], F]: ...

    def thread(
        self,
        function: Callable[[], Any] | None = None,
        *,
        name: str = "",
        cpu: int | None = None,
        daemon: bool = False,
    ) -> Any:
        """Run a function as a thread; a decorator, with or without arguments.

        The thread is called ``name`` or like the function, and has a CPU of its own unless told
        otherwise. A ``daemon`` may be left waiting for ever, as servers are.
        """

        def start(function: F) -> F:
            self._start(name or function.__name__, function, cpu, daemon)
            return function

        return start if function is None else start(function)

    def _start(self, name: str, function: Callable[[], Any], cpu: int | None, daemon: bool) -> None:
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
        self.tasks[name] = Task(self.program, name, where, daemon)
        if not any(frame.cpu == where for frame in self.frames.values()):
            for _ in range(self.frames_per_cpu):
                self.add_frame(where)
        self.program.task(name, lambda: _discard(function()), daemon=daemon)

    def add_frame(self, cpu: int, folio: Folio | None = None, data: int = 0) -> int:
        """Add a page frame to the lists of a CPU and return its number; 0 is the zero page."""
        pfn = len(self.frames) + 1
        self.frames[pfn] = Frame(self.program, pfn, cpu, folio, data)
        return pfn

    def mm(self, name: str = "mm") -> AddressSpace:
        """Make a process: an address space for threads to share."""
        mm = MmStruct(self.program, name)
        self.mms.append(mm)
        return AddressSpace(self, mm)

    def userfaultfd(
        self,
        process: AddressSpace,
        *,
        nonblock: bool = False,
        features: UffdFeature = UffdFeature.NONE,
        name: str = "uffd",
    ) -> UserFaultFd:
        """Open a userfaultfd for a process; ``AddressSpace.mmap()`` registers memory with it."""
        ctx = UserfaultfdCtx(self.program, name, process.mm, nonblock=nonblock, features=features)
        self.uffds.append(ctx)
        return UserFaultFd(ctx)

    def uffd_page(
        self,
        prot: Vm = Vm.READ | Vm.WRITE,
        *,
        wp: bool = False,
        contents: str = "",
        protected: bool = False,
    ) -> tuple[Page, UserFaultFd]:
        """Make a process with one page and a userfaultfd that it is registered with.

        ``wp`` registers it for write-protection besides missing pages; see
        ``AddressSpace.mmap()`` for the rest.
        """
        process = self.mm()
        uffd = self.userfaultfd(process)
        page = process.mmap(prot, uffd=uffd, wp=wp, contents=contents, protected=protected)
        return page, uffd

    def monitor(self, uffd: UserFaultFd, *, wp: bool = False, name: str = "monitor") -> None:
        """Start the selftest's monitor, which serves faults for ever.

        With ``wp`` it write-protects what it fills.
        """
        self._start(name, lambda: uffd_read_thread(uffd.ctx, wp), None, True)

    def in_one_step(self, work: Callable[[], object]) -> None:
        """Let a thread do ``work`` without anybody seeing it half done.

        Not what the kernel does: it narrows a story down to one of two races.
        """
        with atomic():
            work()

    def ksm_page(self, data: int) -> int:
        """Return the number of a KSM page with these contents, mapped in some other process."""
        return self.add_frame(BOOT_CPU, Folio(refcount=1, mapcount=1, ksm=True), data)


def _discard(_result: object) -> None:
    """Threads return nothing: what a story's last line happens to be is no result."""
