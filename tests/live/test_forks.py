"""A puppet's thread forks, and the child takes commands."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from refault.live.abi import Nr
from refault.live.puppet import SLOTS, Puppet, PuppetThread


def alive(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


def test_the_child_has_a_copy_of_memory(puppet: Puppet) -> None:
    page, thread = puppet.map(), puppet.thread(1)
    thread.store(page, 1).wait()
    child = thread.fork()
    assert child.call(Nr.GETPID) == child.pid != puppet.pid
    assert child.load(page).wait() == 1
    child.store(page, 2).wait()
    assert (thread.load(page).wait(), child.load(page).wait()) == (1, 2)


def test_shared_memory_stays_shared(puppet: Puppet) -> None:
    page, thread = puppet.map(shared=True), puppet.thread()
    child = thread.fork()
    child.store(page, 9).wait()
    assert thread.load(page).wait() == 9


def test_children_fork_as_well_and_all_end_with_the_puppet(puppet: Puppet) -> None:
    child = puppet.thread().fork()
    grandchild = child.fork()
    pids = [puppet.pid, child.pid, grandchild.pid]
    assert len(set(pids)) == 3
    page = puppet.map()
    busy = grandchild.load(page, gate=True)
    assert not busy.done
    puppet.close()
    assert not any(map(alive, pids))


def test_the_end_of_a_child_is_seen(puppet: Puppet) -> None:
    child = puppet.thread().fork()
    os.kill(child.pid, signal.SIGBUS)
    puppet.wait_until(lambda: child.ended is not None)
    assert child.died() == f"process {child.pid} died by SIGBUS"
    assert puppet.thread().ended is None
    assert puppet.thread().call(Nr.GETPID) == puppet.pid


def test_a_child_handles_signals_with_a_log_of_its_own(puppet: Puppet) -> None:
    puppet.handle(signal.SIGUSR1)
    child = puppet.thread().fork()
    child.kill(signal.SIGUSR1)
    puppet.wait_until(lambda: child.handled.times == 1)
    assert puppet.thread().handled.times == 0


def test_there_are_so_many_slots_and_no_more(puppet: Puppet) -> None:
    last: PuppetThread = puppet.thread()
    for _ in range(SLOTS - 2):
        last = last.fork()
    with pytest.raises(ValueError, match=f"{SLOTS} threads at most"):
        last.fork()
