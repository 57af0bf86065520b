"""Signals and what a process has them do (``include/uapi/asm-generic/signal.h``).

A story gives its threads ``handlers``: a function, ``SIG_IGN`` or ``SIG_DFL`` for a signal, or a
``Sigaction`` where flags and a mask matter; ``SA_RESTART(function)`` is short for the common one.
Real-time signals, which do not collapse but queue, are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum, IntEnum, IntFlag
from typing import Any, NamedTuple


class Signal(IntEnum):
    """A signal's number, as on most architectures."""

    SIGHUP = 1
    SIGINT = 2
    SIGQUIT = 3
    SIGILL = 4
    SIGTRAP = 5
    SIGABRT = 6
    SIGBUS = 7
    SIGFPE = 8
    SIGKILL = 9
    SIGUSR1 = 10
    SIGSEGV = 11
    SIGUSR2 = 12
    SIGPIPE = 13
    SIGALRM = 14
    SIGTERM = 15
    SIGSTKFLT = 16
    SIGCHLD = 17
    SIGCONT = 18
    SIGSTOP = 19
    SIGTSTP = 20
    SIGTTIN = 21
    SIGTTOU = 22
    SIGURG = 23
    SIGXCPU = 24
    SIGXFSZ = 25
    SIGVTALRM = 26
    SIGPROF = 27
    SIGWINCH = 28
    SIGIO = 29
    SIGPWR = 30
    SIGSYS = 31

    def __str__(self) -> str:
        return self.name

    def __repr__(self) -> str:
        return self.name


SIGINT, SIGQUIT, SIGBUS, SIGKILL = Signal.SIGINT, Signal.SIGQUIT, Signal.SIGBUS, Signal.SIGKILL
SIGUSR1, SIGUSR2, SIGSEGV, SIGTERM = Signal.SIGUSR1, Signal.SIGUSR2, Signal.SIGSEGV, Signal.SIGTERM
SIGCHLD, SIGCONT, SIGSTOP, SIGTSTP = Signal.SIGCHLD, Signal.SIGCONT, Signal.SIGSTOP, Signal.SIGTSTP
SIGPIPE, SIGTRAP = Signal.SIGPIPE, Signal.SIGTRAP

Sigset = tuple[Signal, ...]
"""``sigset_t``: the signals in it, by their number."""

EMPTY: Sigset = ()


def sigset(signals: Iterable[Signal]) -> Sigset:
    """Return a set of signals."""
    return tuple(sorted(set(signals)))


def blockable(signals: Iterable[Signal]) -> Sigset:
    """Return a set of signals less the two that cannot be blocked."""
    return sigset(sig for sig in signals if sig not in (SIGKILL, SIGSTOP))


class Sa(IntFlag):
    """``sigaction.sa_flags``, as far as the model uses them."""

    NONE = 0
    NODEFER = 0x40000000
    RESTART = 0x10000000


class Disposition(Enum):
    """What a process does with a signal that it does not catch."""

    SIG_DFL = 0
    SIG_IGN = 1


SIG_DFL, SIG_IGN = Disposition.SIG_DFL, Disposition.SIG_IGN
Handler = Callable[[], Any]


class Sigaction(NamedTuple):
    """``struct sigaction``."""

    sa_handler: Handler | Disposition = SIG_DFL
    sa_flags: Sa = Sa.NONE
    sa_mask: Sigset = EMPTY


def SA_RESTART(handler: Handler) -> Sigaction:
    """Catch a signal with ``handler``, and restart the system call that it interrupts."""
    return Sigaction(handler, Sa.RESTART)
