"""Mappings that are joined and moved, and pages that are advised away."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus


@litmus(source="mm/vma.c: vma_merge_existing_range(); mm/userfaultfd.c: validate_dst_vma()")
def live_parts_join(t: Litmus) -> None:
    """COPY fills what was registered in two parts, for they are one mapping again.

    In another mode each is a mapping of its own, and COPY does not go from one into the next.
    """
    p, program = t.memory(pages=3, modes=""), t.thread("program")
    t.monitor.register(p)
    t.monitor.register(p[1])
    t.monitor.register(p[2], modes="missing wp")
    t.monitor.copy(p, 3)
    t.monitor.copy(p, 2)
    program.load(p[1])


@litmus(source="mm/mremap.c: copy_vma_and_data(); fs/userfaultfd.c: mremap_userfaultfd_prep()")
def live_moved_in_next_door(t: Litmus) -> None:
    """Memory that moves next to other memory of its userfaultfd sets that free, too.

    Nobody asked to be told of moves, so what moves is no longer registered. If it was never touched
    it is joined with the mapping that it comes to lie beside, and the two are set free as one.
    """
    p, q = t.memory("p"), t.memory("q", 2, kind="room", modes="")
    program = t.thread("program")
    program.do("mmap", at=q[0], pages=1, prot="rw")
    t.monitor.register(q)
    program.mremap(p, q[1])
    program.load(q)
    t.monitor.status(program)


@litmus(source="mm/madvise.c: madvise_guard_install(); mm/memory.c: zap_nonpresent_ptes()")
def live_guard_of_a_protected_file(t: Litmus) -> None:
    """No guard is set where a page of a file is write-protected: the thread tries again and again.

    To make room the page is taken out, which leaves a marker of its protection, and that is not
    taken out: after three rounds the system call is restarted, until somebody unprotects the page.
    """
    p = t.memory(kind="shmem", shared=True, modes="wp", contents="cached")
    program = t.thread("program")
    program.load(p)
    t.monitor.protect(p)
    program.do("guard", at=p[0], pages=1)
    t.monitor.status(program)
    t.monitor.peek(p)
    t.monitor.unprotect(p)


@litmus(source="mm/memory.c: zap_nonpresent_ptes()")
def live_markers_that_are_dropped(t: Litmus) -> None:
    """MADV_DONTNEED takes write-protection and poison from anonymous memory, and leaves guards."""
    t.userfaultfd("WP_UNPOPULATED")
    p, program = t.memory(pages=3, modes="missing wp"), t.thread("program")
    t.monitor.protect(p)
    t.monitor.poison(p[1])
    program.do("guard", at=p[2], pages=1)
    t.monitor.peek(p, 3)
    program.do("dontneed", at=p[0], pages=3)
    t.monitor.peek(p, 3)


@litmus(source="mm/madvise.c: madvise_dontneed_free(), madvise_free_pte_range()")
def live_madv_free(t: Litmus) -> None:
    """The monitor is told of MADV_FREE as of MADV_DONTNEED; of what is there, poison goes."""
    t.userfaultfd("EVENT_REMOVE")
    p, program = t.memory(pages=2), t.thread("program")
    t.monitor.copy(p)
    t.monitor.poison(p[1])
    program.do("madv_free", at=p[0], pages=2)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.peek(p, 2)


@litmus(source="mm/mprotect.c: change_pte_range(); mm/userfaultfd.c: mfill_atomic_install_pte()")
def live_filled_and_out_of_reach(t: Litmus) -> None:
    """What COPY brings to memory that cannot be accessed cannot be accessed."""
    p, program = t.memory(pages=2), t.thread("program")
    t.monitor.copy(p)
    program.do("mprotect", at=p[0], pages=2, prot="")
    t.monitor.copy(p[1])
    program.load(p)
    program.load(p[1])
    program.do("mprotect", at=p[0], pages=2, prot="r")
    program.load(p)
    program.load(p[1])


@litmus(source="mm/gup.c: faultin_page_range()")
def live_populate_poisoned(t: Litmus) -> None:
    """MADV_POPULATE_READ of a poisoned page says that the hardware failed."""
    p, program = t.memory(), t.thread("program")
    t.monitor.poison(p)
    program.do("populate", at=p[0], pages=1, write=False)


@litmus(source="mm/memory.c: do_fault_around(); mm/filemap.c: filemap_map_pages()")
def live_fault_around(t: Litmus) -> None:
    """A read maps what else of the file is there, but not if minor faults are to be told of."""
    p = t.memory("p", 3, kind="shmem", shared=True, modes="missing", contents="cached")
    q = t.memory("q", 3, kind="shmem", shared=True, modes="minor", contents="cached")
    program, other = t.thread("program"), t.thread("other")
    program.load(p[1])
    t.monitor.peek(p, 3)
    other.load(q[1])
    t.monitor.resume(q[1])
    t.monitor.peek(q, 3)


@litmus(source="mm/memory.c: pte_install_uffd_wp_if_needed()")
def live_protection_forgotten(t: Litmus) -> None:
    """Memory that is registered for something else by now has its pages' protection forgotten."""
    p, program = t.memory(kind="shmem", shared=True, modes="missing wp"), t.thread("program")
    t.monitor.copy(p, wp=True)
    t.monitor.register(p, modes="minor")
    program.do("dontneed", at=p[0], pages=1)
    t.monitor.peek(p, 1)
