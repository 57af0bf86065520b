"""What a litmus test is: memory, threads, and moves that they make one after the other.

A program is data, so that it can be sent to another machine, shrunk, and kept in a file. It runs
in *forced order*: a move begins when everybody has *settled*, that is when each thread has finished
what it was told to do, or sleeps, or spins in the kernel, or is dead. The steps of one move run
side by side, and race. Whoever is still busy with an earlier step when its turn comes misses
that turn.

Each step gives a value, a word or two of what a program can see of it, and so the *outcome* of a
run is a tuple of values, one a step. The same words are used for what the model allows and for what
is observed, so the two can be compared.

======================== =========================================================
value                    said by
======================== =========================================================
``copied``, ``0``, ``7`` a load: the page holds what COPY brought, zeroes, a store's 7
``SIGBUS BUS_ADRERR``    an access that ended with a signal, and its code; ``stored`` if not
``4096``, ``-EEXIST``    a system call: bytes, or the error
``2``                    a look: how often a handler ran, page faults of a system call
``MMIO 7``, ``-EINTR``   ``KVM_RUN``: the guest is done and has loaded or stored 7; a signal came
``none``                 a read of a userfaultfd that has no message
``write p``, ``fork``    a message: the fault's flags and page, or the event
``unmap p x2``           an event of two pages; ``remap p to q``
``IN``, ``ERR``          a poll; ``nothing`` if the descriptor is ready for nothing
``0x1ff``                the features that a handshake has offered
``copy wake``            the ioctls that a registered range can be used with
``wp``, ``not wp``       what pagemap says of a page
``S handle_userfault``   the status of a thread: its sleep, and where it is
``idle``, ``spins``      it has nothing to do; it runs in the kernel for ever
``unborn``, ``forked``   nobody has forked it yet; what who forks it is told
``dead``, ``missed``     it is no more; it was busy when its turn came
``blocked``              a step that had not ended when the run was over
======================== =========================================================
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

PAGE = 4096
COPIED = "copied"
BLOCKED, MISSED, IDLE, SPINS, DEAD = "blocked", "missed", "idle", "spins", "dead"
UNBORN = "unborn"
MONITOR = "monitor"
"""The thread that is no part of the process: it holds the userfaultfd from outside."""

WAITS = (
    "handle_userfault",
    "userfaultfd_event_wait_completion",
    "do_signal_stop",
    "userfaultfd_read_iter",
)
"""Functions of the kernel in which a thread is said to sleep; elsewhere it just sleeps."""


class Place(NamedTuple):
    """A page of a program's memory: ``p`` of the first page, ``p[1]`` of the next."""

    memory: str
    page: int = 0

    def __str__(self) -> str:
        return f"{self.memory}[{self.page}]" if self.page else self.memory


class Memory(NamedTuple):
    """A mapping. ``kind`` is ``anon``, ``shmem``, ``file`` (on disk), ``hugetlb``, or ``room``.

    Room is where nothing is, to be moved to. ``modes`` is how it is registered.

    ``modes`` has words of ``missing``, ``wp`` and ``minor``, none for memory that is not
    registered. ``contents`` is what each page holds at first: nothing, a ``page``, a ``zero page``;
    of shmem, ``cached`` for a page that is in the file but not mapped. ``protected`` pages are
    write-protected by the userfaultfd; ``prot`` is ``rw``, ``r`` or nothing. A mapping ``of``
    another's file maps that; of its own, else.
    """

    name: str
    pages: int = 1
    kind: str = "anon"
    shared: bool = False
    modes: tuple[str, ...] = ()
    contents: str = ""
    protected: bool = False
    prot: str = "rw"
    of: str = ""


class Thread(NamedTuple):
    """A thread of the process, and the signals that it blocks.

    One that is to be ``forked`` is the only thread of a child, and there when a step has made it.
    Where there is one, only the monitor has the userfaultfd: children would inherit it.
    """

    name: str
    blocked: tuple[str, ...] = ()
    forked: bool = False


class Step(NamedTuple):
    """One thing that a thread does; ``label`` is the name of its value, empty if it has none."""

    thread: str
    do: str
    args: Mapping[str, Any]
    label: str

    def __str__(self) -> str:
        args = ", ".join(f"{k}={v}" if k != "at" else f"{v}" for k, v in self.args.items())
        return f"{self.thread}: {self.do}({args})"


Outcome: TypeAlias = "tuple[tuple[str, str], ...]"
"""Labels with their values, in the order of the program."""


class Program(NamedTuple):
    """A litmus test.

    ``features`` are names of ``UFFD_FEATURE_*``. The process has a handler for each signal in
    ``handlers``, with SA_RESTART or not, which notes that it ran. SIGBUS and SIGSEGV end the access
    that they come from, unless they are ``bare`` and kill. Reads of the userfaultfd wait where it
    is ``blocking``; without ``handshake`` it has not been asked for anything yet. ``needs`` are
    what a machine must have for the program to mean the same there (``live.play.needs``).
    """

    memories: tuple[Memory, ...]
    threads: tuple[Thread, ...]
    moves: tuple[tuple[Step, ...], ...]
    features: tuple[str, ...] = ()
    user_mode_only: bool = False
    handlers: tuple[tuple[str, bool], ...] = ()
    bare: bool = False
    blocking: bool = False
    handshake: bool = True
    needs: tuple[str, ...] = ()

    @property
    def steps(self) -> tuple[Step, ...]:
        """All steps, in their order."""
        return tuple(step for move in self.moves for step in move)

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of the values of an outcome."""
        return tuple(step.label for step in self.steps if step.label)

    @property
    def races(self) -> bool:
        """Whether some move has more than one thread in it, so that runs can differ."""
        return any(len({step.thread for step in move}) > 1 for move in self.moves)

    def outcome(self, values: Mapping[str, str]) -> Outcome:
        """Return an outcome of values by label; what has none is blocked."""
        return tuple((label, values.get(label, BLOCKED)) for label in self.labels)

    def to_json(self) -> dict[str, Any]:
        """The program as lists, strings and numbers."""
        return {
            "memories": [list(memory) for memory in self.memories],
            "threads": [list(thread) for thread in self.threads],
            "moves": [[[s.thread, s.do, dict(s.args), s.label] for s in m] for m in self.moves],
            "features": list(self.features),
            "user_mode_only": self.user_mode_only,
            "handlers": list(self.handlers),
            "bare": self.bare,
            "blocking": self.blocking,
            "handshake": self.handshake,
            "needs": list(self.needs),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Program:
        """The program of what ``to_json()`` gave; ``KeyError`` and the like where it is not."""
        return cls(
            tuple(Memory(*_deep(memory)) for memory in data["memories"]),
            tuple(Thread(*_deep(thread)) for thread in data["threads"]),
            tuple(tuple(_step(step) for step in move) for move in data["moves"]),
            tuple(data["features"]),
            bool(data["user_mode_only"]),
            _deep(data["handlers"]),
            bool(data["bare"]),
            bool(data["blocking"]),
            bool(data["handshake"]),
            tuple(data["needs"]),
        )


def _deep(values: Any) -> Any:
    return tuple(map(_deep, values)) if isinstance(values, list | tuple) else values


def _step(data: Any) -> Step:
    thread, do, args, label = data
    places = {k: Place(*v) if isinstance(v, list | tuple) else v for k, v in args.items()}
    return Step(thread, do, places, label)


def said(outcome: Outcome) -> str:
    """An outcome in a line."""
    return " ".join(
        f"{label}={value!r}" if " " in value else f"{label}={value}" for label, value in outcome
    )
