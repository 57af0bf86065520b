"""What a litmus test finds on the model: its process, memory and userfaultfd, and its outcome."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from refault.explore.errors import UserError
from refault.linux.fs.userfaultfd.api import known_features
from refault.linux.include.linux.mm_types import Vm
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE, UffdFeature
from refault.linux.uffd import UserFaultFd
from refault.linux.user import COPIED as CONTENTS
from refault.litmus.program import COPIED, MISSED, Memory, Outcome, Place, Program, Step

if TYPE_CHECKING:
    from refault.explore import Cell
    from refault.linux import Kernel
    from refault.linux.include.linux.fs import File
    from refault.linux.user import Page

    from .board import Board, State
    from .room import Room

STORED = 1000
"""Stores of programs are kept apart by so much from what the model's COPY brings, a number too."""

PROTECTIONS = {"rw": Vm.READ | Vm.WRITE, "r": Vm.READ, "": Vm.NONE}


class Skipped(Exception):
    """A signal has ended an access: its handler goes on behind the instruction."""

    def __init__(self, signal: str) -> None:
        super().__init__(signal)
        self.signal = signal


class World:
    """A program's things on one kernel."""

    board: Board

    def __init__(self, program: Program, kernel: Kernel, space: Room) -> None:
        self.program = program
        self.kernel = kernel
        self.process = kernel.mm()
        self.uffd = kernel.userfaultfd(
            self.process,
            nonblock=not program.blocking,
            features=_granted(program, kernel) if program.handshake else None,
            user_mode_only=program.user_mode_only,
        )
        self._said: dict[str, str] | None = None
        self.kpage = 0
        if any(step.do == "merge" for step in program.steps):
            self.kpage = kernel.ksm_page(CONTENTS)
        self.elsewhere = kernel.mm("elsewhere") if _asks(program) else self.process
        self.files: dict[str, File] = {}
        self.pages: dict[str, Page] = {}
        for memory in program.memories:
            self.pages[memory.name] = self._map(memory)
        self.things: dict[Callable[[World], Any], Any] = {}
        for file in (None, *self.files.values()):
            self.process.spare(space.spares, file=file)
        self.children = {t.name: self.process.child(t.name) for t in program.threads if t.forked}
        self.opened = {
            name: kernel.program.cell(f"{name} can be served", False) for name in self.children
        }
        self.handled = {
            t.name: kernel.program.cell(f"{t.name}.handled", 0) for t in program.threads
        }
        looked_at = {step.args["who"] for step in program.steps if step.do == "faults"}
        self.faults = {name: kernel.program.cell(f"{name}.faults", 0) for name in sorted(looked_at)}
        self.siginfo = {
            t.name: kernel.program.cell(f"{t.name}.siginfo", "") for t in program.threads
        }
        self.seen: dict[str, Cell[str]] = {
            label: kernel.program.cell(f"seen {label}", "") for label in program.labels
        }

    def _map(self, memory: Memory) -> Page:
        if memory.kind == "room":
            return self.process.room(memory.pages)
        if memory.kind == "hugetlb":
            self.kernel.huge_pages(memory.pages)
        modes = memory.modes
        _registrable(memory, self.kernel)
        contents = "" if memory.contents == "cached" else memory.contents
        return self.process.mmap(
            PROTECTIONS[memory.prot],
            uffd=self.uffd if modes else None,
            missing="missing" in modes,
            wp="wp" in modes,
            minor="minor" in modes,
            contents=contents,
            protected=memory.protected,
            pages=memory.pages,
            file=self._file(memory),
            shared=memory.shared,
            hugetlb=memory.kind == "hugetlb",
            fresh=memory.kind in ("anon", "shmem") and memory.contents != "page",
        )

    def _file(self, memory: Memory) -> File | None:
        """The file of a mapping that has one: another's, or one of its own."""
        if memory.kind in ("anon", "hugetlb"):
            return None
        name = memory.of or memory.name
        if name not in self.files:
            self.files[name] = self._new_file(memory)
        return self.files[name]

    def _new_file(self, memory: Memory) -> File:
        name, pages = f"file {memory.name}", memory.pages
        if memory.kind == "file":
            return self.kernel.file(name, pages=pages)
        if memory.kind == "shmem":
            return self.kernel.tmpfs_file(name, pages=pages, cached=memory.contents == "cached")
        raise UserError(
            f"memory of kind {memory.kind!r} has no model here",
            "there are anon, shmem, file, hugetlb and room",
        )

    def page(self, place: Place, child: str = "") -> Page:
        """The page at a place, of the process or of a child."""
        first = self.pages[place.memory]
        page = first[place.page] if place.page else first
        return page.of(self.children[child]) if child else page

    def served(self, child: str) -> UserFaultFd:
        """The userfaultfd of a child, by the descriptor that came with the news of its fork."""
        if not self.opened[child].read():
            raise Skipped("-EBADF")
        ctx = self.kernel.uffd(f"{child}.{self.uffd.ctx.name}")
        assert ctx is not None
        return UserFaultFd(ctx)

    def kind(self, place: Place) -> str:
        """The kind of memory that a place is in."""
        return next(m.kind for m in self.program.memories if m.name == place.memory)

    def name(self, address: int) -> str:
        """A place by its address."""
        for memory in self.program.memories:
            page, rest = divmod(address - self.pages[memory.name].address, PAGE_SIZE)
            if 0 <= page < memory.pages:
                return f"{Place(memory.name, page)}{f'+{rest:#x}' if rest else ''}"
        return f"{address:#x}"

    def begin(self, program: Program, said: dict[str, str]) -> None:
        """Be of another program with the same memory and threads; values are put in ``said``."""
        self.program = program
        self._said = said

    def say(self, step: Step, value: str) -> None:
        """Write the value of a step down."""
        if step.label and self._said is not None:
            self._said[step.label] = value
        elif step.label:
            self.seen[step.label].write(value)

    def outcome(self, cells: Mapping[str, Any]) -> Outcome:
        """The outcome of a run that ended with these values in the cells, by name."""
        values = {label: cells[cell.name] for label, cell in self.seen.items()}
        return self.values(values, cells[self.board.cell.name])

    def values(self, said: Mapping[str, str], end: State) -> Outcome:
        """The outcome of what was said, and of turns that were missed by who is still asleep."""
        missed = {
            step.label: MISSED
            for number, thread in end.missed
            for step in self.program.moves[number]
            if step.thread == thread
        }
        return self.program.outcome(missed | {key: value for key, value in said.items() if value})


def _registrable(memory: Memory, kernel: Kernel) -> None:
    """Raise ``Refused`` if this version cannot register such memory so."""
    offered, file = known_features(kernel.patched), memory.kind in ("shmem", "hugetlb")
    needs = UffdFeature.PAGEFAULT_FLAG_WP if "wp" in memory.modes else UffdFeature.NONE
    if "wp" in memory.modes and file:
        needs |= UffdFeature.WP_HUGETLBFS_SHMEM
    if "minor" in memory.modes:
        shmem = memory.kind == "shmem"
        needs |= UffdFeature.MINOR_SHMEM if shmem else UffdFeature.MINOR_HUGETLBFS
    if needs & ~offered:
        raise Refused(
            f"this version has no UFFD_FEATURE_{(needs & ~offered).name}", "take a newer one"
        )


def _asks(program: Program) -> bool:
    """Whether there is a step that may name memory of another process."""
    return any(step.do == "ask" for step in program.steps)


class Refused(UserError):
    """A version of the kernel that cannot do what the program begins with."""


def features(names: tuple[str, ...]) -> UffdFeature:
    """``UFFD_FEATURE_*`` by their names."""
    found = UffdFeature.NONE
    for name in names:
        if name not in UffdFeature.__members__:
            raise UserError(
                f"no feature of userfaultfd is called {name!r}",
                f"there are {', '.join(UffdFeature.__members__)}",
            )
        found |= UffdFeature[name]
    return found


def _granted(program: Program, kernel: Kernel) -> UffdFeature:
    """What the userfaultfd has been asked for, if this version offers it."""
    wanted = features(program.features)
    missing = wanted & ~known_features(kernel.patched)
    if missing:
        raise Refused(f"this version has no UFFD_FEATURE_{missing.name}", "take a newer one")
    return wanted


def byte(value: int) -> str:
    """What a load has found, in words."""
    if value == CONTENTS:
        return COPIED
    return str(value - STORED if value > STORED else value)
