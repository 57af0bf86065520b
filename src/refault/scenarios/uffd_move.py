"""UFFDIO_MOVE: a page is in one of two places, and who waits for it is told."""

from __future__ import annotations

from refault.explore import note
from refault.linux import Kernel, Page
from refault.linux.include.uapi.errno import EEXIST
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.scenarios.api import scenario

MOVE = "mm/userfaultfd.c: move_pages(): the error of a round outlives it, since 6.18"


@scenario(
    source=MOVE,
    expect={
        "": "lost wakeup",
        "with move_err_reset": "holds",
        "without move_batch": "holds",
        "6.17": "holds",
    },
)
def moved_at_the_second_attempt(k: Kernel) -> None:
    """UFFDIO_MOVE of a page that is just being migrated moves it, and says that it did not.

    It waits for the migration and tries again. The second round succeeds, but the error of the
    first is still there; the third finds the destination filled, and so the monitor is told
    -EEXIST and nobody is woken.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap(contents="page")

    @k.thread
    def worker() -> None:
        page.load()

    @k.thread
    def monitor() -> None:
        uffd.read()
        if uffd.move(page, src) == -EEXIST:
            note("somebody else has filled it, and woken the task")

    @k.thread
    def kcompactd() -> None:
        src.migrate()


@scenario(source="mm/userfaultfd.c: move_present_ptes(): both PTEs change under their lock")
def moved_while_it_is_written(k: Kernel) -> None:
    """What a program stores to a page that is moved is there in the one place or in the other."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap(contents="page")

    @k.thread
    def worker() -> None:
        src.store(1)
        assert src.load() == 1 or page.load() == 1, "the store is lost"

    @k.thread
    def monitor() -> None:
        uffd.move(page, src)


@scenario(source="mm/userfaultfd.c: move_pages(): two movers of one page")
def moved_once(k: Kernel) -> None:
    """Of two that move a page to different places one succeeds, and no frame is lost."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    one, other = process.mmap(uffd=uffd), process.mmap(uffd=uffd)
    src = process.mmap(contents="page")
    moved = k.program.cell("moved", 0)

    def mover(page: Page) -> None:
        if uffd.move(page, src) == PAGE_SIZE:
            assert moved.update(lambda n: (n + 1, n)) == 0, "moved twice"

    k.thread(name="monitor")(lambda: mover(one))
    k.thread(name="second")(lambda: mover(other))


@scenario(source="mm/userfaultfd.c: move_pages(): wakes the waiters of the destination")
def moved_away_and_back(k: Kernel) -> None:
    """A task that finds its page moved away goes on when the page comes back."""
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap(uffd=uffd, contents="page")

    @k.thread
    def worker() -> None:
        src.load()

    @k.thread
    def monitor() -> None:
        uffd.move(page, src)
        uffd.move(src, page)


@scenario(source="mm/userfaultfd.c: move_present_ptes(): pins are looked for when the PTE is none")
def pinned_page_stays(k: Kernel) -> None:
    """A page that is pinned for I/O while it is moved is either moved, or stays where it is.

    What the device writes is then seen where the program looks for it.
    """
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap(contents="page")

    @k.thread
    def driver() -> None:
        pinned = src.pin(write=True)
        pinned.write(5)
        assert src.load() == 5, "the device writes to another page"
        pinned.release()

    @k.thread
    def monitor() -> None:
        uffd.move(page, src)


@scenario(
    source="Lokesh Gidra, 2025, userfaultfd: opportunistic TLB-flush batching for present pages "
    "in MOVE",
    expect={"": "assertion failure", "without move_batch": "holds"},
)
def moved_page_is_settled(k: Kernel) -> None:
    """What a task finds in a page that was moved stays there, if nobody writes to the page.

    Another thread may still write to it by its old place, as long as a TLB says so. Since 6.18 the
    new place is there before the old one is flushed.
    """
    k.tlbs()
    process = k.mm()
    uffd = k.userfaultfd(process)
    page, src = process.mmap(uffd=uffd), process.mmap(contents="page")

    @k.thread
    def worker() -> None:
        before = page.load()
        assert page.load() == before, "written by its old place"

    @k.thread
    def other() -> None:
        src.store(1)
        src.store(2)

    @k.thread
    def monitor() -> None:
        uffd.move(page, src)
