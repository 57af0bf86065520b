"""Memory of tmpfs, of files on disk, and of huge pages."""

from __future__ import annotations

from refault.litmus import Litmus
from refault.scenarios.litmus import litmus

MINOR = "mm/shmem.c: shmem_get_folio_gfp(); mm/userfaultfd.c: mfill_atomic_pte_continue()"
SHMEM = "mm/shmem.c: shmem_get_folio_gfp(); mm/userfaultfd.c: shmem_mfill_atomic_pte()"
REGISTER = "include/linux/userfaultfd_k.h: vma_can_userfault()"
HUGETLB = "mm/hugetlb.c: hugetlb_no_page(), hugetlb_mfill_atomic_pte()"


@litmus(source=MINOR)
def live_minor(t: Litmus) -> None:
    """A page that the file has is a minor fault: CONTINUE maps it, once."""
    p = t.memory(kind="shmem", shared=True, modes="minor", contents="cached")
    program = t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.resume(p)
    t.monitor.resume(p)


@litmus(source=MINOR)
def live_minor_copy(t: Litmus) -> None:
    """What the file has COPY does not replace; a store waits for CONTINUE as a load does."""
    p = t.memory(kind="shmem", shared=True, modes="minor", contents="cached")
    program = t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.status(program)
    t.monitor.resume(p)
    program.load(p)


@litmus(source=MINOR)
def live_minor_hole(t: Litmus) -> None:
    """Where the file has a hole there is nothing to continue, and a minor fault is none."""
    p = t.memory(kind="shmem", shared=True, modes="minor")
    program = t.thread("program")
    t.monitor.resume(p)
    program.load(p)
    t.monitor.read()


@litmus(source=MINOR)
def live_minor_and_missing(t: Litmus) -> None:
    """Registered for both, a hole is missing and a page of the file a minor fault."""
    p = t.memory(kind="shmem", shared=True, modes="missing minor")
    program = t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.dontneed(p)
    program.load(p)
    t.monitor.read()
    t.monitor.resume(p)


@litmus(source=SHMEM)
def live_missing_shmem(t: Litmus) -> None:
    """A hole of a shared file is filled for all who map it."""
    p = t.memory(kind="shmem", shared=True)
    q = t.memory("q", kind="shmem", shared=True, modes="", of=p)
    program = t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.load(q)
    program.dontneed(p)
    program.load(p)


@litmus(source=SHMEM)
def live_missing_shmem_cached(t: Litmus) -> None:
    """A page that the file has is not missing."""
    p = t.memory(kind="shmem", shared=True, contents="cached")
    program = t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)


@litmus(source=SHMEM)
def live_missing_shmem_zeropage(t: Litmus) -> None:
    """ZEROPAGE of a shared file is a page in the file, that can be written."""
    p = t.memory(kind="shmem", shared=True)
    q = t.memory("q", kind="shmem", shared=True, modes="", of=p)
    program = t.thread("program")
    program.store(p)
    t.monitor.read()
    t.monitor.zeropage(p)
    program.load(q)


@litmus(source=SHMEM)
def live_missing_shmem_private(t: Litmus) -> None:
    """What COPY brings to a private mapping of a file is not in the file."""
    p = t.memory(kind="shmem")
    q = t.memory("q", kind="shmem", shared=True, modes="", of=p)
    program = t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.copy(p)
    program.load(p)
    program.load(q)


@litmus(source=SHMEM)
def live_filled_past_the_monitor(t: Litmus) -> None:
    """A hole that is filled by way of another mapping wakes nobody, and then COPY says -EEXIST."""
    p = t.memory(kind="shmem", shared=True)
    q = t.memory("q", kind="shmem", shared=True, modes="", of=p)
    program, other = t.thread("program"), t.thread("other")
    program.load(p)
    t.monitor.read()
    other.store(q)
    t.monitor.status(program)
    t.monitor.copy(p)
    t.monitor.status(program)
    t.monitor.wake(p)


@litmus(source=REGISTER, expect={"": "holds", "5.10": "holds", "6.1": "holds"})
def live_register_anon(t: Litmus) -> None:
    """Anonymous memory has no minor faults; what else can be done with it is told."""
    p = t.memory(modes="")
    t.monitor.registered(p, modes="missing")
    t.monitor.registered(p, modes="wp")
    t.monitor.registered(p, modes="missing wp")
    t.monitor.registered(p, modes="minor")
    t.monitor.registered(p, modes="missing minor")


@litmus(source=REGISTER)
def live_register_shmem(t: Litmus) -> None:
    """Tmpfs can be registered for anything; it is told of MOVE, too, though that would fail."""
    p = t.memory(kind="shmem", shared=True, modes="")
    q = t.memory("q", kind="shmem", modes="")
    t.monitor.registered(p, modes="missing")
    t.monitor.registered(p, modes="wp")
    t.monitor.registered(p, modes="minor")
    t.monitor.registered(p, modes="missing wp minor")
    t.monitor.registered(q, modes="missing wp minor")


@litmus(source=REGISTER)
def live_register_file(t: Litmus) -> None:
    """A file on disk cannot be registered."""
    p = t.memory(kind="file", modes="")
    t.monitor.registered(p, modes="missing")
    t.monitor.registered(p, modes="wp")
    t.monitor.registered(p, modes="minor")


@litmus(source=REGISTER)
def live_register_file_async(t: Litmus) -> None:
    """With WP_ASYNC any memory can be registered for write-protection, and for nothing else."""
    t.userfaultfd("WP_ASYNC")
    p = t.memory(kind="file", modes="")
    t.monitor.registered(p, modes="missing")
    t.monitor.registered(p, modes="wp")
    t.monitor.registered(p, modes="missing wp")


@litmus(source=HUGETLB)
def live_hugetlb(t: Litmus) -> None:
    """A huge page is missing as a small one is, and comes in one COPY."""
    p, program = t.memory(kind="hugetlb"), t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.status(program)
    t.monitor.zeropage(p)
    t.monitor.copy(p)
    t.monitor.copy(p)


@litmus(source=REGISTER)
def live_register_hugetlb(t: Litmus) -> None:
    """Huge pages have no zero page, and are not moved."""
    p = t.memory(kind="hugetlb", modes="")
    t.monitor.registered(p, modes="missing")
    t.monitor.registered(p, modes="missing wp minor")
