"""Telling a litmus test as a story: what is called is written down, not done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .actions_memory import MemoryActions
from .places import At, Range, place
from .program import MONITOR, Memory, Program, Step, Thread

__all__ = ["Actor", "At", "Litmus", "Range", "place"]


class Litmus:
    """A story that is being told.

    ``memory()`` and ``thread()`` say what there is, methods of actors what happens, in this order;
    what is told under ``together()`` happens at the same time, as far as threads differ.
    """

    def __init__(self) -> None:
        self._memories: list[Memory] = []
        self._threads: list[Thread] = []
        self._moves: list[list[Step]] = []
        self._features: tuple[str, ...] = ()
        self._user_mode_only = False
        self._handlers: tuple[tuple[str, bool], ...] = ()
        self._bare = False
        self._blocking = False
        self._handshake = True
        self._needs: tuple[str, ...] = ()
        self._open = False
        self._labels: dict[str, int] = {}
        self.monitor = Actor(self, MONITOR)

    @property
    def program(self) -> Program:
        """What has been told so far."""
        return Program(
            tuple(self._memories),
            tuple(self._threads),
            tuple(map(tuple, self._moves)),
            self._features,
            self._user_mode_only,
            self._handlers,
            self._bare,
            self._blocking,
            self._handshake,
            self._needs,
        )

    def userfaultfd(
        self,
        *features: str,
        user_mode_only: bool = False,
        blocking: bool = False,
        handshake: bool = True,
    ) -> None:
        """Say what the userfaultfd is asked for, by names of ``UFFD_FEATURE_*``."""
        self._features = features
        self._user_mode_only = user_mode_only
        self._blocking = blocking
        self._handshake = handshake

    def memory(
        self,
        name: str = "p",
        pages: int = 1,
        *,
        kind: str = "anon",
        shared: bool = False,
        modes: str = "missing",
        contents: str = "",
        protected: bool = False,
        prot: str = "rw",
        of: Range | None = None,
    ) -> Range:
        """Map memory; see ``program.Memory``. ``modes`` are words with blanks between them."""
        self._memories.append(
            Memory(
                name,
                pages,
                kind,
                shared,
                tuple(modes.split()),
                contents,
                protected,
                prot,
                of.memory.name if of else "",
            )
        )
        return Range(self._memories[-1])

    def room(self, name: str = "q", pages: int = 1) -> Range:
        """Leave room where nothing is, for memory to be moved to."""
        return self.memory(name, pages, kind="room", modes="")

    def handle(self, *signals: str, restart: bool = False) -> None:
        """Have the process note that these signals came, with SA_RESTART or without."""
        self._handlers += tuple((signal, restart) for signal in signals)

    def bare(self) -> None:
        """Leave the process without handlers for SIGBUS and SIGSEGV, so that they kill."""
        self._bare = True

    def needs(self, *names: str) -> None:
        """Say what a machine must have; see ``program.Program``."""
        self._needs += names

    def thread(self, name: str, *, blocked: str = "") -> Actor:
        """Start a thread of the process, which blocks some signals."""
        self._threads.append(Thread(name, tuple(blocked.split())))
        return Actor(self, name)

    def child(self, name: str = "child") -> Actor:
        """Have somebody who is to be forked: the only thread of a process of its own."""
        self._threads.append(Thread(name, (), True))
        return Actor(self, name)

    @contextmanager
    def together(self) -> Iterator[None]:
        """What is told inside happens at the same time: what one thread does, in its order."""
        self._moves.append([])
        self._open = True
        try:
            yield
        finally:
            self._open = False

    def tell(self, thread: str, do: str, label: str | None, args: dict[str, Any]) -> None:
        """Write a step down; a label that is None is made of what is done."""
        if label is None:
            times = self._labels[do] = self._labels.get(do, 0) + 1
            label = do if times == 1 else f"{do}{times}"
        if not self._open:
            self._moves.append([])
        self._moves[-1].append(Step(thread, do, args, label))


class Actor(MemoryActions):
    """A thread of the story. What it does is named like what it stands for.

    Places are pages; ``label`` names the value that a step gives, the step's own name by default.
    """

    def __init__(self, litmus: Litmus, name: str, serves: str = "") -> None:
        self._litmus = litmus
        self.name = name
        self._serves = serves

    def do(self, what: str, label: str | None = None, **args: Any) -> None:
        """Do anything that the model and the kernel both can, by its name."""
        if self._serves:
            args["of"] = self._serves
        self._litmus.tell(self.name, what, label, args)

    def call(
        self, what: str, at: At, *, offset: int = 0, count: int = 100, label: str | None = "result"
    ) -> None:
        """Make a system call with a buffer of ``count`` bytes, from ``offset`` in the page on."""
        self.do(what, label, at=place(at), offset=offset, count=count)

    def faults(self, who: Actor, *, label: str | None = None) -> None:
        """Look how many page faults a thread has taken in its last system call."""
        self.do("faults", label, who=who.name)

    def guest(
        self, what: str, at: At, *, value: int | None = None, label: str | None = "result"
    ) -> None:
        """Run a virtual CPU that loads a byte of a page, or stores a ``value`` to it."""
        stored = {} if value is None else {"value": value}
        self.do(what, label, at=place(at), offset=0, count=1, **stored)

    def of(self, child: Actor) -> Actor:
        """The same thread, at the userfaultfd and the memory of a child that was told of."""
        return Actor(self._litmus, self.name, child.name)

    def fork(self, child: Actor, *, label: str | None = None) -> None:
        """``fork(2)``."""
        self.do("fork", label, who=child.name)

    def load(self, at: At, *, label: str | None = None) -> None:
        """Load a byte."""
        self.do("load", label, at=place(at))

    def store(self, at: At, value: int = 7, *, label: str | None = None) -> None:
        """Store a byte."""
        self.do("store", label, at=place(at), value=value)

    def read(self, *, label: str | None = None) -> None:
        """Read a message of the userfaultfd, without waiting for one."""
        self.do("read", label)

    def copy(
        self,
        at: At,
        pages: int = 1,
        *,
        wp: bool = False,
        wake: bool = True,
        label: str | None = None,
    ) -> None:
        """``UFFDIO_COPY``."""
        self.do("copy", label, at=place(at), pages=pages, wp=wp, wake=wake)

    def zeropage(
        self, at: At, pages: int = 1, *, wake: bool = True, label: str | None = None
    ) -> None:
        """``UFFDIO_ZEROPAGE``."""
        self.do("zeropage", label, at=place(at), pages=pages, wake=wake)

    def wake(self, at: At, pages: int = 1, *, label: str | None = None) -> None:
        """``UFFDIO_WAKE``."""
        self.do("wake", label, at=place(at), pages=pages)

    def protect(self, at: At, pages: int = 1, *, label: str | None = None) -> None:
        """``UFFDIO_WRITEPROTECT``, to protect."""
        self.do("protect", label, at=place(at), pages=pages)

    def unprotect(
        self, at: At, pages: int = 1, *, wake: bool = True, label: str | None = None
    ) -> None:
        """``UFFDIO_WRITEPROTECT``, to unprotect."""
        self.do("unprotect", label, at=place(at), pages=pages, wake=wake)

    def resume(
        self, at: At, pages: int = 1, *, wake: bool = True, label: str | None = None
    ) -> None:
        """``UFFDIO_CONTINUE``."""
        self.do("resume", label, at=place(at), pages=pages, wake=wake)

    def poison(
        self, at: At, pages: int = 1, *, wake: bool = True, label: str | None = None
    ) -> None:
        """``UFFDIO_POISON``."""
        self.do("poison", label, at=place(at), pages=pages, wake=wake)

    def move(
        self, at: At, src: At, pages: int = 1, *, holes: bool = False, label: str | None = None
    ) -> None:
        """``UFFDIO_MOVE``."""
        self.do("move", label, at=place(at), src=place(src), pages=pages, holes=holes)

    def register(
        self, at: At, pages: int = 1, *, modes: str = "missing", label: str | None = None
    ) -> None:
        """``UFFDIO_REGISTER``."""
        self.do("register", label, at=place(at), pages=pages, modes=modes)

    def unregister(self, at: At, pages: int = 1, *, label: str | None = None) -> None:
        """``UFFDIO_UNREGISTER``."""
        self.do("unregister", label, at=place(at), pages=pages)

    def close(self, *, label: str | None = None) -> None:
        """Close the userfaultfd, in all processes that have it."""
        self.do("close", label)

    def kill(self, who: Actor, signal: str, *, label: str | None = "") -> None:
        """Send a signal to a thread."""
        self.do("kill", label, who=who.name, signal=signal)

    def status(self, who: Actor, *, label: str | None = None) -> None:
        """Look what a thread is doing."""
        self.do("status", label, who=who.name)

    def handled(self, who: Actor, *, label: str | None = None) -> None:
        """Look how often a thread's handler of signals has run."""
        self.do("handled", label, who=who.name)
