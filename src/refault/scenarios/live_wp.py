"""Write-protection: what is told of it, and what is not."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

WP = "mm/userfaultfd.c: mwriteprotect_range(); mm/memory.c: do_wp_page()"


@litmus(source=WP)
def live_wp(t: Litmus) -> None:
    """A protected page can be read; a store is told as a write-protection fault, and waits."""
    p, program = t.memory(modes="wp", contents="page"), t.thread("program")
    t.monitor.protect(p)
    t.monitor.protection(p)
    program.load(p)
    program.store(p)
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.unprotect(p)
    t.monitor.protection(p)
    program.load(p)


@litmus(source=WP)
def live_wp_dontwake(t: Litmus) -> None:
    """Unprotecting with DONTWAKE leaves the store asleep, until a WAKE."""
    p, program = t.memory(modes="wp", contents="page", protected=True), t.thread("program")
    program.store(p)
    t.monitor.unprotect(p, wake=False)
    t.monitor.status(program)
    t.monitor.wake(p)


@litmus(source=WP)
def live_wp_woken_for_nothing(t: Litmus) -> None:
    """A store that is woken and finds its page still protected is told again."""
    p, program = t.memory(modes="wp", contents="page", protected=True), t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.wake(p)
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.unprotect(p)


@litmus(source="include/linux/userfaultfd_k.h: userfaultfd_wp_use_markers()")
def live_wp_on_a_hole(t: Litmus) -> None:
    """A hole of anonymous memory is not protected: a store to it is a missing page, no more."""
    p, program = t.memory(modes="missing wp"), t.thread("program")
    t.monitor.protect(p)
    t.monitor.protection(p)
    program.store(p)
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.read()


@litmus(source="include/linux/userfaultfd_k.h: userfaultfd_wp_use_markers()")
def live_wp_unpopulated(t: Litmus) -> None:
    """With WP_UNPOPULATED a hole is protected, too: it reads as zeroes, and a store is told."""
    t.userfaultfd("WP_UNPOPULATED")
    p, program = t.memory(modes="wp"), t.thread("program")
    t.monitor.protect(p)
    t.monitor.protection(p)
    program.load(p)
    program.store(p)
    t.monitor.read()
    t.monitor.unprotect(p)


@litmus(source="fs/userfaultfd.c: userfaultfd_wp_async()")
def live_wp_async(t: Litmus) -> None:
    """With WP_ASYNC a store unprotects its page by itself, and nobody is told."""
    t.userfaultfd("WP_ASYNC")
    p, program = t.memory(modes="wp", contents="page"), t.thread("program")
    t.monitor.protect(p)
    t.monitor.protection(p)
    program.store(p)
    t.monitor.protection(p)
    t.monitor.read()


@litmus(source="mm/userfaultfd.c: mwriteprotect_range()")
def live_wp_refused(t: Litmus) -> None:
    """Memory that is not registered for write-protection is not protected."""
    p, q = t.memory(contents="page"), t.memory("q", modes="", contents="page")
    t.monitor.protect(p)
    t.monitor.protect(q)
    t.monitor.unprotect(q)


@litmus(source="mm/userfaultfd.c: mwriteprotect_range()")
def live_wp_two_writers(t: Litmus) -> None:
    """Two threads store to a protected page: two messages, and one unprotect lets both go."""
    p, one, other = (
        t.memory(modes="wp", contents="page", protected=True),
        t.thread("one"),
        t.thread("other"),
    )
    one.store(p)
    other.store(p, 8)
    t.monitor.read()
    t.monitor.read()
    t.monitor.unprotect(p)
    t.monitor.status(one)
    t.monitor.status(other)


@litmus(source="mm/memory.c: pte_marker_handle_uffd_wp(); mm/shmem.c")
def live_wp_shmem(t: Litmus) -> None:
    """Of a file a hole is protected as well; a page that is dropped and comes back still is."""
    p = t.memory(kind="shmem", shared=True, modes="wp", contents="cached")
    program = t.thread("program")
    t.monitor.protect(p)
    t.monitor.protection(p)
    program.load(p)
    program.dontneed(p)
    t.monitor.protection(p)
    program.store(p)
    t.monitor.read()
    t.monitor.unprotect(p)
    t.monitor.protection(p)
