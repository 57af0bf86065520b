"""A page that userfaultfd has write-protected is not written without a message.

Whatever the kernel does with the page meanwhile, the protection has to come through it: in the
migration entry, in the swap entry, in the new PTE. One of the writers forgets it.
"""

from __future__ import annotations

from refault.linux import Kernel, Page
from refault.scenarios.api import scenario

SOURCE = "mm/{file}: each writer of PTEs must carry the uffd-wp bit over"


def told_before_written(k: Kernel) -> Page:
    """A program writes to a protected page, and a monitor unprotects it when it is told to."""
    page, uffd = k.uffd_page(wp=True, contents="page", protected=True)
    told = k.program.cell("told", False)

    @k.thread
    def program() -> None:
        page.store(1)
        assert told.read(), "written without a message"

    @k.thread(daemon=True)
    def monitor() -> None:
        uffd.read()
        told.write(True)
        uffd.unprotect(page)

    return page


@scenario(source=SOURCE.format(file="migrate.c"))
def protection_survives_migration(k: Kernel) -> None:
    """Moving a protected page to another frame leaves it protected."""
    k.thread(name="kcompactd")(told_before_written(k).migrate)


@scenario(source=SOURCE.format(file="rmap.c"))
def protection_survives_swap(k: Kernel) -> None:
    """Swapping a protected page out and in again leaves it protected."""
    k.thread(name="kswapd")(told_before_written(k).reclaim)


@scenario(source=SOURCE.format(file="mprotect.c"))
def protection_survives_numa_balancing(k: Kernel) -> None:
    """NUMA balancing marks a protected page, and the fault on the mark leaves it protected."""
    k.thread(name="thread")(told_before_written(k).numa_scan)


@scenario(source=SOURCE.format(file="ksm.c"), expect={"": "assertion failure"})
def protection_survives_merging(k: Kernel) -> None:
    """Merging a protected page with an equal one forgets the protection.

    ``replace_page()`` makes the new PTE from the protection of the mapping, and looks at the old
    one only to compare it. The next write copies the shared page and tells nobody.
    """
    page = told_before_written(k)
    kpage = k.ksm_page(0)
    k.thread(name="ksmd")(lambda: page.ksm_merge(kpage))
