"""Pages as the kernel tells of them."""

from __future__ import annotations

import pytest

from refault.live import operations as do
from refault.live.abi import Nr, Unavailable
from refault.live.pages import Category, PageFlag, clear_soft_dirty, page_flags, scan
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import Feature, Mode, Userfaultfd


@pytest.fixture
def scanned(puppet: Puppet) -> int:
    """Five pages, of which the second and third are there."""
    pages = puppet.map(5)
    for index in (1, 2):
        puppet.thread().store(pages + index * PAGE, 1).wait()
    try:
        scan(puppet.pid, pages, pages + PAGE)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    return pages


def test_a_scan_finds_what_is_there(puppet: Puppet, scanned: int) -> None:
    end = scanned + 5 * PAGE
    (there,) = scan(puppet.pid, scanned, end, all_of=Category.PRESENT, tell=Category.PRESENT)
    assert there == (scanned + PAGE, scanned + 3 * PAGE, Category.PRESENT)
    puppet.thread().load(scanned).wait()
    (zero,) = scan(puppet.pid, scanned, end, all_of=Category.PFNZERO)
    assert (zero.start, zero.end) == (scanned, scanned + PAGE)


def test_more_regions_than_one_answer_holds(puppet: Puppet, scanned: int) -> None:
    pages = puppet.map(1200)
    for index in range(0, 1200, 2):
        puppet.thread().store(pages + index * PAGE, 1).wait()
    end = pages + 1200 * PAGE
    assert len(scan(puppet.pid, pages, end, all_of=Category.PRESENT)) == 600
    assert scan(puppet.pid, pages, end, all_of=Category.PRESENT, none_of=Category.PRESENT) == []


@pytest.mark.usefixtures("uffd_allowed")
def test_who_wrote_since_the_last_scan(puppet: Puppet, scanned: int) -> None:
    try:
        uffd = Userfaultfd.of(puppet, Feature.WP_ASYNC | Feature.WP_UNPOPULATED)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    end = scanned + 5 * PAGE
    with pytest.raises(PermissionError):
        scan(puppet.pid, scanned, end, all_of=Category.WRITTEN, protect=True)
    uffd.register(scanned, 5 * PAGE, Mode.WP)
    uffd.writeprotect(scanned, 5 * PAGE)
    puppet.thread(1).store(scanned + 3 * PAGE, 1).wait()
    (written,) = scan(puppet.pid, scanned, end, all_of=Category.WRITTEN, protect=True)
    assert (written.start, written.end) == (scanned + 3 * PAGE, scanned + 4 * PAGE)
    assert scan(puppet.pid, scanned, end, all_of=Category.WRITTEN) == []


def test_soft_dirty(puppet: Puppet) -> None:
    page, thread = puppet.map(), puppet.thread()
    thread.store(page, 1).wait()
    if PageFlag.SOFT_DIRTY not in page_flags(puppet.pid, page):
        pytest.skip("no soft-dirty bits on this kernel")
    clear_soft_dirty(puppet.pid)
    assert PageFlag.SOFT_DIRTY not in page_flags(puppet.pid, page)
    thread.store(page, 2).wait()
    assert PageFlag.SOFT_DIRTY in page_flags(puppet.pid, page)


def test_the_system_call_in_which_a_thread_sleeps(puppet: Puppet) -> None:
    thread, ends, page = puppet.thread(1), do.pipe(puppet.thread()), puppet.map()
    do.read(thread, ends.reader, page, 3)
    assert thread.settled().state == "S"
    seen = thread.proc.system_call
    assert seen is not None
    assert (seen.number, seen.arguments[:3]) == (Nr.READ, (ends.reader, page, 3))
