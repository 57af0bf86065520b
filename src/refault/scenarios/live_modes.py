"""Handshakes, and what a userfaultfd can be opened with."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

API = "fs/userfaultfd.c: userfaultfd_api()"
REFUSED = "fs/userfaultfd.c: handle_userfault()"


@litmus(source=API, expect={"": "holds", "5.10": "holds"})
def live_handshake(t: Litmus) -> None:
    """Before the handshake nothing works; it tells what the kernel has, and is made once."""
    t.userfaultfd(handshake=False)
    p = t.memory(modes="")
    t.monitor.poll()
    t.monitor.register(p, label="early")
    t.monitor.copy(p, label="copy_early")
    t.monitor.read(label="read_early")
    t.monitor.handshake(api=0xAB, label="wrong_number")
    t.monitor.handshake()
    t.monitor.handshake(label="again")
    t.monitor.poll()
    t.monitor.register(p)


@litmus(source=API)
def live_handshake_events(t: Litmus) -> None:
    """A handshake may ask for any features that there are, also for all events."""
    t.userfaultfd(handshake=False)
    t.monitor.handshake("EVENT_FORK EVENT_REMAP EVENT_REMOVE EVENT_UNMAP THREAD_ID")


@litmus(source=API)
def live_handshake_new_feature(t: Litmus) -> None:
    """A feature that the kernel has not is refused, and the handshake can be tried again."""
    t.userfaultfd(handshake=False)
    t.monitor.handshake("MOVE")
    t.monitor.handshake(label="again")


@litmus(source="fs/userfaultfd.c: userfaultfd_register()")
def live_register_bad_arguments(t: Litmus) -> None:
    """A registration has a mode, and a range of whole pages that are mapped."""
    p, q, program = t.memory(modes=""), t.memory("q", modes=""), t.thread("program")
    t.monitor.ask("register", p, mode=0, label="no_mode")
    t.monitor.ask("register", p, mode=1 << 8, label="mode")
    t.monitor.ask("register", p, mode=1, length=0, label="empty")
    t.monitor.ask("register", p, mode=1, offset=8, label="unaligned")
    program.munmap(q)
    t.monitor.register(q, label="unmapped")
    t.monitor.unregister(q, label="unregister_unmapped")
    t.monitor.unregister(p, label="unregister_unregistered")
    t.monitor.ask("unregister", p, length=0, label="unregister_empty")


@litmus(source=REFUSED)
def live_sigbus(t: Litmus) -> None:
    """With SIGBUS a missing page is a signal in user mode, and -EFAULT in the kernel."""
    t.userfaultfd("SIGBUS")
    p, program = t.memory(), t.thread("program")
    program.load(p)
    program.put_user(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.load(p)


@litmus(source=REFUSED)
def live_sigbus_kills(t: Litmus) -> None:
    """A process that has no handler for it dies of it."""
    t.userfaultfd("SIGBUS")
    t.bare()
    p, program = t.memory(), t.thread("program")
    program.store(p)
    t.monitor.status(program)
    t.monitor.copy(p)


@litmus(source=REFUSED)
def live_user_mode_only(t: Litmus) -> None:
    """A userfaultfd for user mode only refuses the kernel's own faults, and is not told."""
    t.userfaultfd(user_mode_only=True)
    p, program = t.memory(), t.thread("program")
    program.put_user(p)
    t.monitor.read()
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.put_user(p)


@litmus(source=REFUSED)
def live_kernel_fault(t: Litmus) -> None:
    """A system call that writes to a missing page waits as user mode does, and then succeeds."""
    p, program = t.memory(), t.thread("program")
    program.put_user(p)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.status(program)
