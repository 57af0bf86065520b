"""Forks: whom the child's memory belongs to."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

FORK = "fs/userfaultfd.c: dup_userfaultfd(), dup_userfaultfd_complete()"


@litmus(source=FORK)
def live_fork(t: Litmus) -> None:
    """Who forks waits until its monitor has read of it; meanwhile nothing can be filled.

    The child is served by the descriptor that comes with the message, and its pages are its own.
    """
    t.userfaultfd("EVENT_FORK")
    p, program, child = t.memory(), t.thread("program"), t.child()
    program.fork(child)
    t.monitor.status(program)
    t.monitor.status(child)
    t.monitor.copy(p, label="copy_early")
    t.monitor.zeropage(p, label="zeropage_early")
    t.monitor.of(child).copy(p, label="too_early")
    t.monitor.read()
    t.monitor.status(program)
    child.load(p)
    t.monitor.read()
    t.monitor.of(child).read(label="read_of_child")
    t.monitor.of(child).copy(p, label="copy_of_child")
    program.load(p)
    t.monitor.read()
    t.monitor.zeropage(p)


@litmus(source=FORK)
def live_fork_untold(t: Litmus) -> None:
    """Without EVENT_FORK nobody is told, and the child has ordinary memory."""
    p, program, child = t.memory(), t.thread("program"), t.child()
    program.fork(child)
    child.load(p)
    t.monitor.read()
    t.monitor.of(child).copy(p)
    program.load(p)
    t.monitor.read()


@litmus(source="fs/userfaultfd.c: userfaultfd_event_wait_completion()")
def live_fork_and_close(t: Litmus) -> None:
    """A monitor that goes away without reading of a fork leaves ordinary memory to both."""
    t.userfaultfd("EVENT_FORK")
    p, program, child = t.memory(), t.thread("program"), t.child()
    program.fork(child)
    t.monitor.close()
    t.monitor.status(program)
    child.load(p)
    program.load(p)


@litmus(source="mm/memory.c: copy_present_ptes(); userfaultfd_wp() of the child's VMA")
def live_fork_wp_untold(t: Litmus) -> None:
    """A child that is not served has none of the protection of its parent's pages."""
    p, program, child = (
        t.memory(modes="wp", contents="page", protected=True),
        t.thread("program"),
        t.child(),
    )
    program.fork(child)
    child.protection(p)
    child.store(p)
    t.monitor.read()
    program.store(p, 8)
    t.monitor.read()
    t.monitor.unprotect(p)
    child.load(p)


@litmus(source="mm/memory.c: copy_present_ptes(); userfaultfd_wp() of the child's VMA")
def live_fork_wp(t: Litmus) -> None:
    """With EVENT_FORK a page of the child is protected as its parent's is, each by itself."""
    t.userfaultfd("EVENT_FORK")
    p, program, child = (
        t.memory(modes="wp", contents="page", protected=True),
        t.thread("program"),
        t.child(),
    )
    program.fork(child)
    t.monitor.read()
    child.protection(p)
    child.store(p)
    t.monitor.read()
    t.monitor.of(child).read(label="read_of_child")
    t.monitor.unprotect(p)
    t.monitor.status(child)
    t.monitor.of(child).unprotect(p, label="unprotect_of_child")
    program.load(p)
