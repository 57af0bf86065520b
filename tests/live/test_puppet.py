"""A puppet does what it is told, one instruction at a time, and is gone afterwards."""

from __future__ import annotations

import errno
import mmap
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

import refault.live.code
from refault.live.abi import Nr
from refault.live.code import ACCESSES, CALL, CALLED, CODE, HANDLER, LISTING, RESTORER
from refault.live.proc import page_flags
from refault.live.puppet import PAGE, Died, Puppet, TimedOut

LISTING_PATH = Path(refault.live.code.__file__).with_name(LISTING)


@pytest.mark.skipif(not (shutil.which("as") and shutil.which("objcopy")), reason="no assembler")
def test_the_code_is_what_its_listing_says(tmp_path: Path) -> None:
    objects, binary = tmp_path / "puppet.o", tmp_path / "puppet.bin"
    subprocess.run(["as", "--64", "-o", objects, LISTING_PATH], check=True)
    subprocess.run(["objcopy", "-O", "binary", "-j", ".text", objects, binary], check=True)
    assert binary.read_bytes() == CODE
    names = subprocess.run(["nm", objects], check=True, capture_output=True, text=True).stdout
    at = {line.split()[2]: int(line.split()[0], 16) for line in names.splitlines()}
    assert (at["handler"], at["restorer"]) == (HANDLER, RESTORER)
    assert (at["call"], at["called"]) == (CALL, CALLED)
    assert tuple(at[n] for n in ("load", "stores", "adds", "copies", "touches")) == ACCESSES


def test_loads_and_stores(puppet: Puppet) -> None:
    page, thread = puppet.map(), puppet.thread()
    assert thread.load(page).wait() == 0
    assert thread.store(page + 5, 77).wait() == 77
    assert puppet.thread(1).load(page + 5).wait() == 77


def test_adding_and_copying(puppet: Puppet) -> None:
    page, thread = puppet.map(2), puppet.thread()
    assert [thread.add(page, 250).wait() for _ in range(3)] == [0, 250, 244]
    puppet.poke(page, bytes(range(200)))
    assert thread.copy(page + PAGE - 100, page, 200).wait() == 200
    assert puppet.peek(page + PAGE - 100, 200) == bytes(range(200))
    pages = puppet.map(10)
    assert thread.touch(pages + PAGE, 4, 2 * PAGE).wait() == 0
    assert [bool(page_flags(puppet.pid, pages + n * PAGE)) for n in range(10)] == [
        n in (1, 3, 5, 7) for n in range(10)
    ]


def test_system_calls_and_their_errors(puppet: Puppet) -> None:
    thread = puppet.thread()
    assert thread.call(Nr.GETTID) == thread.tid == puppet.pid
    assert thread.syscall(Nr.READ, 99, 0, 0).wait() == -errno.EBADF
    with pytest.raises(OSError, match="Bad file descriptor"):
        thread.call(Nr.READ, 99, 0, 0)


def test_a_load_that_fails_ends_with_its_signal(puppet: Puppet) -> None:
    thread, page = puppet.thread(), puppet.map(prot=0)
    puppet.handle(signal.SIGSEGV)
    assert thread.load(page + 8).wait() == -signal.SIGSEGV
    handled = thread.handled
    assert (handled.times, handled.signal, handled.address) == (1, signal.SIGSEGV, page + 8)
    assert thread.load(puppet.map()).wait() == 0


def test_a_handler_runs_while_a_thread_sleeps_in_a_system_call(puppet: Puppet) -> None:
    thread = puppet.thread(1)
    puppet.handle(signal.SIGUSR1)
    pipe = puppet.write_scratch(64, bytes(8))
    puppet.thread().call(22, pipe)
    end = int.from_bytes(puppet.read_scratch(64, 4), "little")
    reading = thread.syscall(Nr.READ, end, puppet.map(), 1)
    puppet.wait_until(lambda: thread.proc.state == "S")
    thread.kill(signal.SIGUSR1)
    assert reading.wait() == -errno.EINTR
    assert thread.handled.times == 1


def test_the_gate_holds_threads_back(puppet: Puppet) -> None:
    page = puppet.map()
    waiting = puppet.thread(1).store(page, 3, gate=True)
    time.sleep(0.01)
    assert not waiting.done
    with pytest.raises(TimedOut):
        waiting.wait(0.01)
    puppet.open_gate()
    assert waiting.wait() == 3


def test_a_thread_does_one_thing_at_a_time(puppet: Puppet) -> None:
    puppet.thread(1).store(puppet.map(), 3, gate=True)
    with pytest.raises(RuntimeError, match="still at its last command"):
        puppet.thread(1).load(0)


def test_nothing_is_left_behind(puppet: Puppet) -> None:
    thread = puppet.thread()
    memory = thread.call(319, puppet.write_scratch(0, b"name\0"), 0)
    before = len(os.listdir("/proc/self/fd"))
    assert puppet.take(memory) > 2
    pid = puppet.pid
    puppet.close()
    assert len(os.listdir("/proc/self/fd")) == before
    assert not Path(f"/proc/{pid}").exists()
    puppet.close()


def test_descriptors_are_not_inherited(tmp_path: Path) -> None:
    with (tmp_path / "file").open("w") as file, Puppet() as first:
        with Puppet(keep=(file.fileno(),)) as second:
            assert second.thread().syscall(Nr.WRITE, file.fileno(), second.map(), 3).wait() == 3
        assert first.thread().syscall(Nr.WRITE, file.fileno(), first.map(), 3).wait() == -9


def test_a_puppet_that_dies_says_how(puppet: Puppet) -> None:
    thread = puppet.thread()
    with pytest.raises(Died, match=f"process {puppet.pid} died by SIGSEGV"):
        thread.load(8).wait()
    ended = thread.ended
    assert ended is not None
    assert (ended.si_code, ended.si_status) == (os.CLD_KILLED, signal.SIGSEGV)


def test_a_puppet_that_leaves_says_so(puppet: Puppet) -> None:
    with pytest.raises(Died, match="exited with 7"):
        puppet.thread().syscall(Nr.EXIT_GROUP, 7).wait()


def test_pages_are_of_the_size_that_is_assumed() -> None:
    assert mmap.PAGESIZE == PAGE
