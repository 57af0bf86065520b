"""What signals do by default (``include/linux/signal.h``)."""

from __future__ import annotations

from refault.linux.include.uapi.signal import Signal

SIG_KERNEL_ONLY_MASK = frozenset({Signal.SIGKILL, Signal.SIGSTOP})
"""Signals that cannot be caught, blocked or ignored."""

SIG_KERNEL_STOP_MASK = frozenset({Signal.SIGSTOP, Signal.SIGTSTP, Signal.SIGTTIN, Signal.SIGTTOU})

SIG_KERNEL_COREDUMP_MASK = frozenset(
    {
        Signal.SIGQUIT,
        Signal.SIGILL,
        Signal.SIGTRAP,
        Signal.SIGABRT,
        Signal.SIGFPE,
        Signal.SIGSEGV,
        Signal.SIGBUS,
        Signal.SIGSYS,
        Signal.SIGXCPU,
        Signal.SIGXFSZ,
    }
)

SIG_KERNEL_IGNORE_MASK = frozenset({Signal.SIGCONT, Signal.SIGCHLD, Signal.SIGWINCH, Signal.SIGURG})

SYNCHRONOUS_MASK = frozenset(
    {
        Signal.SIGSEGV,
        Signal.SIGBUS,
        Signal.SIGILL,
        Signal.SIGTRAP,
        Signal.SIGFPE,
        Signal.SIGSYS,
    }
)
"""Signals that an instruction raises; they are delivered before all others but SIGKILL."""
