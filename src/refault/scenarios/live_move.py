"""UFFDIO_MOVE: pages that change their place within a process."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

MOVE = "fs/userfaultfd.c: userfaultfd_move(); mm/userfaultfd.c: move_pages()"


@litmus(source=MOVE, expect={"": "holds", "6.1": "holds"})
def live_move(t: Litmus) -> None:
    """A page is moved by a thread of the process, from whose memory it is gone then."""
    p, q = t.memory(), t.memory("q", modes="", contents="page")
    program, other = t.thread("program"), t.thread("other")
    other.store(q)
    program.load(p)
    t.monitor.read()
    t.monitor.move(p, q, label="from_outside")
    other.move(p, q)
    t.monitor.status(program)
    other.load(q)


@litmus(source=MOVE)
def live_move_holes(t: Litmus) -> None:
    """A hole is not moved, unless holes are allowed; then the place of it stays a hole."""
    p, q, program = t.memory(), t.memory("q", modes=""), t.thread("program")
    other = t.thread("other")
    program.load(p)
    t.monitor.read()
    other.move(p, q)
    t.monitor.status(program)
    other.move(p, q, holes=True)
    t.monitor.read()
    t.monitor.copy(p)


@litmus(source=MOVE)
def live_move_refused(t: Litmus) -> None:
    """Nothing is moved to where a page is, from where it is shared, or to unregistered memory."""
    p, q = t.memory(contents="page"), t.memory("q", modes="", contents="page")
    z, s = t.memory("z"), t.memory("s", kind="shmem", shared=True, modes="", contents="cached")
    program = t.thread("program")
    program.move(p, q, label="present")
    program.move(q, p, label="unregistered")
    program.move(z, s, label="shared")
    program.move(z, q, label="moved")
    program.load(z)
