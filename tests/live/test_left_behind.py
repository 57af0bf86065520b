"""Whatever happens to the process that drives a puppet, nothing of it is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from refault.live.puppet import Puppet

LEFT = Path(__file__).with_name("left.py")
PATIENCE = 20.0


def of_group(group: int) -> list[int]:
    """Processes of a process group that still live."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:
                continue
            if int(fields[2]) == group and fields[0] not in "ZX":
                found.append(int(entry.name))
    return found


@pytest.mark.usefixtures("puppet")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_processes_end_with_who_drives_them(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, LEFT], stdout=subprocess.PIPE, text=True) as driver:
        assert driver.stdout is not None
        *pids, server = [int(pid) for pid in driver.stdout.readline().split()]
        assert len(pids) == 3
        assert set(pids) <= set(of_group(pids[0]))
        groups = [pids[0], server] if server else [pids[0]]
        assert all(map(of_group, groups))
        driver.send_signal(number)
        expected = 3 if number == signal.SIGINT else -number
        assert driver.wait(PATIENCE) == expected
    deadline = time.monotonic() + PATIENCE
    while any(map(of_group, groups)) and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not any(map(of_group, groups))


def test_descriptors_are_closed() -> None:
    before = set(os.listdir("/proc/self/fd"))
    for _ in range(3):
        with Puppet(2) as puppet:
            puppet.take(puppet.thread().call(319, puppet.write_scratch(0, b"name\0"), 0))
            puppet.thread(1).load(puppet.map(), gate=True)
            assert puppet.thread(1).settled(0.005).state == "R"
    assert set(os.listdir("/proc/self/fd")) == before


def test_interrupted_while_it_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []

    def interrupted(puppet: Puppet, index: int) -> None:
        made.append(puppet.pid)
        raise KeyboardInterrupt

    monkeypatch.setattr("refault.live.thread.PuppetThread.call", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Puppet()
    monkeypatch.undo()
    with pytest.raises(ChildProcessError):
        os.waitpid(made[0], os.WNOHANG)
