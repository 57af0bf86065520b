"""The memory of litmus tests on the running kernel: what is taken is given back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from refault.litmus import Litmus
from refault.live.abi import Unavailable
from refault.live.play import observe
from refault.live.play.memory import HugePages
from refault.live.play.stage import Stage

POOL = Path("/proc/sys/vm/nr_hugepages")


@pytest.mark.skipif(not os.access(POOL, os.W_OK), reason="needs root")
def test_huge_pages_are_put_back() -> None:
    before = POOL.read_text()
    try:
        pool = HugePages(2)
    except Unavailable as error:
        pytest.skip(error.message)
    assert int(POOL.read_text()) == int(before) + 2
    pool.close()
    assert POOL.read_text() == before


@pytest.mark.usefixtures("uffd_allowed")
def test_mappings_of_one_file_share_their_pages_in_each_run() -> None:
    t = Litmus()
    p = t.memory("p", kind="shmem", shared=True, modes="")
    q = t.memory("q", kind="shmem", shared=True, modes="", of=p)
    program = t.thread("program")
    program.load(p)
    program.store(q)
    program.load(p)
    assert observe(t.program, 3) == {(("load", "0"), ("store", "stored"), ("load2", "7")): 3}


@pytest.mark.usefixtures("uffd_allowed")
def test_a_child_has_memory_of_its_own() -> None:
    t = Litmus()
    p, program, child = t.memory(modes="", contents="page"), t.thread("program"), t.child()
    child.load(p, label="before")
    program.fork(child)
    program.store(p)
    child.load(p)
    (only,) = observe(t.program, 2)
    assert dict(only) == {
        "before": "missed",
        "fork": "forked",
        "store": "stored",
        "load": "0",
    }


@pytest.mark.usefixtures("uffd_allowed")
def test_a_file_in_memory_is_no_file_on_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    t = Litmus()
    t.memory(kind="file", modes="")
    monkeypatch.setattr("tempfile.tempdir", "/dev/shm")
    with pytest.raises(Unavailable, match="temporary files are in memory"):
        Stage(t.program).close()
