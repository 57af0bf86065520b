"""Trace events of a puppet."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from refault.live.abi import Unavailable
from refault.live.puppet import PAGE, Puppet
from refault.live.records import Parser
from refault.live.tracefs import Instance, sweep
from refault.live.userfaultfd import Userfaultfd

LINES = """\
 with - dash-7-4711    [001] d..2.   123.456789: sched_switch: prev_comm=a b prev_pid=4711 \
prev_state=S ==> next_comm=swapper/1 next_pid=0
          python-4712    [000] .....   123.456790: page_fault_user: address=0x7f00 ip=0x40
 with - dash-7-4711    [001] d..2.   123.456791: <stack trace>
 => schedule
 => handle_userfault
CPU:1 [LOST 17 EVENTS]
           <...>-4712    [000] ...1.   123.456792: handle_mm_fault <-do_user_addr_fault
           <...>-4712    [000] ...1.   123.45679"""


def test_lines_become_records() -> None:
    parser = Parser()
    switch, fault, call = parser.feed(LINES)
    assert switch[:4] == ("with - dash-7", 4711, 1, 123.456789)
    assert switch.fields["prev_comm"] == "a b"
    assert (switch.fields["prev_state"], switch.fields["next_pid"]) == ("S", "0")
    assert switch.stack == ("schedule", "handle_userfault")
    assert (fault.event, fault.fields["address"]) == ("page_fault_user", "0x7f00")
    assert fault.stack == ()
    assert call.event == "function"
    assert call.fields == {"ip": "handle_mm_fault", "parent_ip": "do_user_addr_fault"}
    assert parser.lost == 17
    (rest,) = parser.feed("3: lock: name=x\n")
    assert (rest.time, rest.event) == (123.456793, "lock")


@pytest.fixture
def trace(puppet: Puppet) -> Iterator[Instance]:
    try:
        instance = Instance([thread.tid for thread in puppet.threads], children=True)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")
    with instance:
        yield instance


def enabled(trace: Instance, *events: str) -> None:
    try:
        trace.enable(*events)
    except Unavailable as error:
        pytest.skip(f"{error.message}: {error.remedy}")


def test_each_fault_of_a_puppet_and_of_no_one_else(puppet: Puppet, trace: Instance) -> None:
    enabled(trace, "exceptions:page_fault_user")
    page, thread = puppet.map(2), puppet.thread(1)
    thread.store(page + 5, 1).wait()
    (record,) = trace.records()
    assert (record.event, record.pid) == ("page_fault_user", thread.tid)
    assert int(record.fields["address"], 16) == page + 5
    trace.disable()
    thread.store(page + PAGE, 1).wait()
    assert trace.records() == []


def test_children_are_traced_as_well(puppet: Puppet, trace: Instance) -> None:
    enabled(trace, "exceptions:page_fault_user")
    page = puppet.map()
    child = puppet.thread().fork()
    child.store(page + 7, 1).wait()
    assert (child.pid, page + 7) in [(r.pid, int(r.fields["address"], 16)) for r in trace.records()]


@pytest.mark.usefixtures("uffd_allowed")
def test_where_a_thread_goes_to_sleep(puppet: Puppet, trace: Instance) -> None:
    enabled(trace, "sched:sched_switch", "signal:*")
    trace.option("stacktrace")
    uffd, page, thread = Userfaultfd.of(puppet), puppet.map(), puppet.thread(1)
    uffd.register(page, PAGE)
    puppet.handle(signal.SIGUSR1)
    trace.records()
    load = thread.load(page)
    assert thread.settled().waits_in("handle_userfault")
    trace.mark("the monitor looks")
    thread.kill(signal.SIGUSR1)
    puppet.wait_until(lambda: thread.handled.times == 1)
    uffd.zeropage(page, PAGE)
    assert load.wait() == 0
    records = trace.records()
    asleep = [r for r in records if r.event == "sched_switch" and r.pid == thread.tid]
    assert any("handle_userfault" in r.stack and r.fields["prev_state"] == "S" for r in asleep)
    delivered = [r for r in records if r.event == "signal_deliver"]
    assert [(r.pid, r.fields["sig"]) for r in delivered] == [(thread.tid, str(int(signal.SIGUSR1)))]
    assert any("the monitor looks" in r.text for r in records)


def test_what_is_not_there_is_said(trace: Instance) -> None:
    with pytest.raises(Unavailable, match="no trace event nobody:knows"):
        trace.enable("nobody:knows")
    with pytest.raises(FileNotFoundError):
        trace.read("nothing")
    assert "[mono]" in trace.read("trace_clock")


def test_it_is_removed(puppet: Puppet, trace: Instance) -> None:
    with Instance() as second:
        folder = second.folder
        assert folder.exists()
        name = folder.name
        assert name in os.listdir(trace.root / "instances")
    assert name not in os.listdir(trace.root / "instances")


def test_what_a_killed_process_left_is_swept(trace: Instance) -> None:
    script = (
        "import os, signal\n"
        "from refault.live.tracefs import Instance\n"
        "print(Instance().folder.name, flush=True)\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    out = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    left = out.stdout.strip()
    instances = trace.root / "instances"
    assert left in os.listdir(instances)
    assert left in sweep(instances)
    assert left not in os.listdir(instances)
    assert trace.folder.name in os.listdir(instances)


def test_at_exit_it_is_removed_and_nothing_is_mounted(trace: Instance) -> None:
    before = Path("/proc/self/mounts").read_text()
    script = "from refault.live.tracefs import Instance; print(Instance().folder.name)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() not in os.listdir(trace.root / "instances")
    assert Path("/proc/self/mounts").read_text() == before
