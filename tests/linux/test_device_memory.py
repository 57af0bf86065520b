"""Pages in the memory of a device, the end of a process, and work that is flushed."""

from __future__ import annotations

import pytest
from tests.linux.stories import found, told

from refault.explore import View
from refault.linux import Kernel
from refault.linux.include.linux.mm_types import Pmd
from refault.linux.include.linux.mmu_notifier import MmuNotifier, MmuNotifierOps
from refault.linux.include.linux.page import folio_get, folio_put, frame
from refault.linux.include.linux.pgtable import PteKind
from refault.linux.kernel.fork import get_task_mm, put_task_mm
from refault.linux.kernel.workqueue import (
    Work,
    cancel_work_sync,
    flush_work,
    process_one_work,
    queue_work,
)
from refault.linux.lib.test_hmm import (
    Dmirror,
    dmirror_migrate_to_device,
    dmirror_read,
    dmirror_write,
)
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.modelled import NotModelled
from refault.linux.process import AddressSpace
from refault.linux.user import Page


def _device(k: Kernel) -> tuple[AddressSpace, Page, Dmirror]:
    process = k.mm()
    page = process.mmap(contents="page")
    return process, page, Dmirror(k, page.mm)


def _move(device: Dmirror, page: Page) -> PteKind:
    dmirror_migrate_to_device(device, page.vma, page.address)
    return page.mm.pte(page.address).read().kind


def test_a_page_goes_to_the_device_and_comes_back_when_a_cpu_wants_it() -> None:
    def story(k: Kernel) -> None:
        _process, page, device = _device(k)

        @k.thread
        def program() -> None:
            page.store(7)
            assert _move(device, page) is PteKind.DEVICE
            assert dmirror_read(device, page.address) == 7
            assert dmirror_write(device, page.address, 8) == 0
            assert page.load() == 8
            assert page.mm.pte(page.address).read().present

    assert found(story) == "holds"


def test_a_page_that_somebody_uses_stays() -> None:
    def story(k: Kernel) -> None:
        _process, page, device = _device(k)

        @k.thread
        def program() -> None:
            page.store(7)
            pfn = page.mm.pte(page.address).read().pfn
            folio_get(pfn)
            assert _move(device, page) is PteKind.PRESENT
            folio_put(pfn)
            folio_lock(pfn)
            assert _move(device, page) is PteKind.PRESENT
            folio_unlock(pfn)
            pinned = page.pin(write=True)
            assert _move(device, page) is PteKind.PRESENT
            pinned.release()
            assert page.load() == 7
            assert _move(device, page) is PteKind.DEVICE

    assert found(story) == "holds"


def test_unmapping_gives_the_frame_of_the_device_back() -> None:
    def story(k: Kernel) -> None:
        _process, page, device = _device(k)

        @k.thread
        def program() -> None:
            _move(device, page)
            pfn = page.mm.pte(page.address).read().pfn
            page.dontneed()
            assert frame(pfn).folio.read() is None

    assert found(story) == "holds"


def test_memory_of_devices_is_not_modelled_everywhere() -> None:
    def story(k: Kernel) -> None:
        process, page, device = _device(k)
        child = process.child()

        @k.thread
        def program() -> None:
            _move(device, page)
            process.fork(child)

    with pytest.raises(NotModelled, match="fork"):
        found(story)


@pytest.mark.parametrize("late", [False, True])
def test_the_last_user_takes_the_process_down(late: bool) -> None:
    """All frames are free then, whether a thread or a guest of the process was the last."""

    def story(k: Kernel) -> None:
        process = k.mm()
        page = process.mmap(contents="page")
        MmuNotifier(page.mm, "notifier", MmuNotifierOps())
        k.thread(name="program", process=page)(lambda: page.store(1))
        k.thread(name="waiting")(lambda: page.mm.pmd.wait(_freed))

        def nothing_is_left(view: View) -> bool:
            done = view[page.mm.pmd] is Pmd.FREED
            return not done or all(view[f.folio] is None for f in k.frames.values())

        k.program.invariant("nothing is left", nothing_is_left)
        if late:

            @k.thread
            def guest() -> None:
                if get_task_mm(page.mm):
                    assert page.mm.pmd.read() is Pmd.TABLE
                    put_task_mm(page.mm)

    assert found(story) == "holds"


def _freed(pmd: object) -> bool:
    return pmd is Pmd.FREED


def test_flushing_waits_for_what_is_queued_and_what_is_running() -> None:
    def story(k: Kernel) -> None:
        done = k.program.cell("done", False)
        work = Work(k.program, "work", lambda: done.write(True))
        k.thread(name="worker", daemon=True)(lambda: process_one_work(work))

        @k.thread
        def driver() -> None:
            assert queue_work(work)
            flush_work(work)
            assert done.read()

    assert found(story) == "holds"


def test_work_that_is_taken_back_is_not_done_or_has_been_done() -> None:
    def story(k: Kernel) -> None:
        stopped = k.program.cell("stopped", False)

        def use() -> None:
            assert not stopped.read()

        work = Work(k.program, "work", use, queued=True)
        k.thread(name="worker", daemon=True)(lambda: process_one_work(work))

        @k.thread
        def driver() -> None:
            cancel_work_sync(work)
            stopped.write(True)

    assert found(story) == "holds"


def test_work_that_waits_for_itself_never_ends() -> None:
    def story(k: Kernel) -> None:
        work = Work(k.program, "work", lambda: flush_work(work), queued=True)
        k.thread(name="worker")(lambda: process_one_work(work))

    assert "waits for work, held by itself" in told(story)
