"""A monitor in a process of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from bench import serving

from refault.live import operations as do
from refault.live.puppet import PAGE, Puppet
from refault.live.serve import PageServer, Served
from refault.live.userfaultfd import Feature, Userfaultfd

pytestmark = pytest.mark.usefixtures("uffd_allowed")


def test_each_page_is_served(puppet: Puppet) -> None:
    uffd, pages = Userfaultfd.of(puppet), puppet.map(100)
    uffd.register(pages, 100 * PAGE)
    with PageServer(uffd, b"a" * PAGE) as server:
        assert puppet.thread(1).touch(pages, 100).wait() == ord("a")
        puppet.wait_until(lambda: server.served == Served(100, 100))
        pid = server.pid
        assert Path(f"/proc/{pid}").exists()
    assert not Path(f"/proc/{pid}").exists()
    assert uffd.read(0.0) is None, "it does not block any more"


def test_a_chunk_at_a_time(puppet: Puppet) -> None:
    """Some pages of some chunks are there already, and the last chunk is registered in part."""
    start = puppet.map(80)
    pages = start + -start % (16 * PAGE)
    uffd = Userfaultfd.of(puppet)
    uffd.register(pages, 56 * PAGE)
    for index in (5, 16, 31):
        uffd.zeropage(pages + index * PAGE, PAGE)
    contents = b"".join(bytes([65 + n]) * PAGE for n in range(16))
    with PageServer(uffd, contents) as server:
        loads = [puppet.thread(1).load(pages + n * PAGE).wait() for n in range(56)]
        there = [0 if n in (5, 16, 31) else 65 + n % 16 for n in range(56)]
        assert loads == there
        puppet.wait_until(lambda: server.served.copies == 1)  # the third is whole
        assert server.served.messages >= 4
    with pytest.raises(ValueError, match="power of two"):
        PageServer(uffd, bytes(3 * PAGE))


def test_two_threads_and_one_page(puppet: Puppet) -> None:
    uffd, pages = Userfaultfd.of(puppet), puppet.map(200)
    uffd.register(pages, 200 * PAGE)
    with PageServer(uffd, b"b" * PAGE):
        both = [thread.touch(pages, 200) for thread in puppet.threads]
        assert [touch.wait() for touch in both] == [98, 98]


def test_other_events_do_not_stop_it(puppet: Puppet) -> None:
    uffd, pages = Userfaultfd.of(puppet, Feature.EVENT_REMOVE), puppet.map(20)
    uffd.register(pages, 20 * PAGE)
    with PageServer(uffd, b"c" * PAGE):
        for _ in range(5):
            touch = puppet.thread(1).touch(pages, 20)
            dropping = do.advise(puppet.thread(), pages, 20 * PAGE, do.Advice.DONTNEED)
            assert touch.wait() == ord("c")
            assert dropping.wait() == 0


@pytest.mark.skipif(not shutil.which("gcc"), reason="no compiler")
def test_the_loop_in_c_serves_as_well(puppet: Puppet, tmp_path: Path) -> None:
    if len(os.sched_getaffinity(0)) < 2:
        pytest.skip("there is only one CPU")
    binary = tmp_path / "serving"
    subprocess.run(["gcc", "-O2", "-Wall", "-Werror", "-o", binary, serving.SOURCE], check=True)
    for case in serving.CASES:
        ours, theirs, ratio = serving.measure(case, 1, 64, binary)
        assert min(ours, theirs, ratio) > 0
