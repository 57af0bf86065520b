"""The host's side of a guest: what becomes of guests that panic, hang, or are left alone.

The emulator is a script that plays a guest, so that what a guest seldom does can be told.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.live.images import image

from refault.live.abi import Unavailable
from refault.live.vm import emulator
from refault.live.vm.kernel import Kernel
from refault.live.vm.machine import GuestFailed, JobFailed, Machine, answers

PLAYER = """#!{python}
import json, os, re, signal, socket, sys, time
fds = [int(re.search(r"fd=(\\d+)", a)[1]) for a in sys.argv if a.startswith("socket,")]
console, jobs = (socket.socket(fileno=fd) for fd in fds)
def say(**fields): jobs.sendall(json.dumps(fields).encode() + b"\\n")
def heard(): return json.loads(lines.readline())
def ready(): say(ready="6.6.6-play", modules={{}})
lines = jobs.makefile()
open({pids!r}, "a").write(str(os.getpid()) + "\\n")
{story}
"""

Play = Callable[[str], Kernel]


@pytest.fixture
def pids(tmp_path: Path) -> Path:
    return tmp_path / "pids"


@pytest.fixture
def play(tmp_path: Path, pids: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Play]:
    """Put an emulator there that plays a story; afterwards none of its processes may be left."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def put(story: str) -> Kernel:
        path = tmp_path / "bin" / emulator.QEMU
        path.write_text(PLAYER.format(python=sys.executable, pids=str(pids), story=story))
        path.chmod(0o755)
        return Kernel(tmp_path / "image", "6.6.6")

    yield put
    for pid in pids.read_text().split() if pids.exists() else []:
        assert not Path(f"/proc/{pid}").exists()


def gone(pid: int, seconds: float = 10.0) -> bool:
    deadline = time.monotonic() + seconds
    while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return not Path(f"/proc/{pid}").exists()


def test_without_qemu_it_is_said_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="qemu-system-x86_64 is not installed") as error:
        emulator.find()
    assert "qemu-system-x86" in error.value.remedy


def test_answers_come_one_by_one_and_jobs_one_after_the_other(play: Play, pids: Path) -> None:
    kernel = play(
        "ready()\n"
        "for _ in range(2):\n"
        "    asked = heard()\n"
        "    for n in range(asked['input']):\n"
        "        say(job=asked['job'], answer=[asked['module'], n])\n"
        "        if n == 0: time.sleep(0.2)\n"
        "    say(job=asked['job'], end='')\n"
        "assert heard() == {'halt': True}\n"
        "open(sys.argv[0] + '.halted', 'w')\n"
    )
    with Machine(kernel) as machine:
        assert machine.release == "6.6.6-play"
        left_half_way = machine.run("a.first", 3)
        assert next(left_half_way) == ["a.first", 0]
        assert list(machine.run("a.second", 2)) == [["a.second", 0], ["a.second", 1]]
    assert Path(f"{pids.parent}/bin/{emulator.QEMU}.halted").exists(), "it was let end by itself"


def test_one_job_in_the_kernel_that_a_person_names(play: Play, tmp_path: Path) -> None:
    play(
        "ready()\nasked = heard()\nsay(job=1, answer=asked['input'])\nsay(job=1, end='')\nheard()\n"
    )
    (tmp_path / "bzImage").write_bytes(image("6.6.6-own"))
    said: list[str] = []
    given = {"deep": [1, None, "\u00e4"]}
    assert list(answers(str(tmp_path / "bzImage"), "a.job", given, progress=said.append)) == [given]
    assert said == ["preparing 6.6.6-own"]


def test_a_panic_is_told_with_the_last_words_of_the_console(play: Play) -> None:
    kernel = play(
        "for n in range(99): console.sendall(b'chatter\\r\\n')\n"
        "console.sendall(b'Kernel panic - not syncing: No working init found.\\r\\n')\n"
    )
    with pytest.raises(GuestFailed) as failed, Machine(kernel):
        pass
    assert failed.value.message.startswith("the guest with 6.6.6 has ended while booting; its last")
    assert failed.value.message.endswith("Kernel panic - not syncing: No working init found.")
    assert failed.value.message.count("chatter") < 20
    assert "another kernel" in failed.value.remedy


def test_what_the_emulator_complains_of_is_told(play: Play) -> None:
    kernel = play("sys.exit('qemu: could not load kernel')")
    with pytest.raises(GuestFailed, match="could not load kernel"), Machine(kernel):
        pass


def test_a_guest_that_never_comes_up_is_ended(play: Play) -> None:
    kernel = play("console.sendall(b'Decompressing')\ntime.sleep(600)\n")
    said: list[str] = []
    with (
        pytest.raises(GuestFailed, match=r"said nothing for 1\.2 s while booting.*\nDecompressing"),
        Machine(kernel, progress=said.append, boot_seconds=1.2),
    ):
        pass
    assert said == ["preparing 6.6.6", "booting 6.6.6, 1 s"]


def test_a_guest_that_ends_or_hangs_in_a_job_is_told_and_runs_no_other(play: Play) -> None:
    kernel = play("ready()\nheard()\nconsole.sendall(b'BUG: so sad\\n')\n")
    with Machine(kernel) as machine:
        with pytest.raises(GuestFailed, match=r"ended while running job(.|\n)*so sad"):
            list(machine.run("a.job"))
        with pytest.raises(GuestFailed):
            list(machine.run("a.job"))
    kernel = play("ready()\nheard()\ntime.sleep(600)\n")
    with (
        Machine(kernel) as machine,
        pytest.raises(GuestFailed, match=r"nothing for 0\.1 s while running job; it said nothing"),
    ):
        list(machine.run("a.job", seconds=0.1))


def test_a_job_that_fails_brings_what_the_guest_said(play: Play) -> None:
    kernel = play(
        "ready()\n"
        "jobs.sendall(b'not JSON\\n')\n"
        "say(job=1, answer=1)\n"
        "say(job=1, end='Unavailable: no luck', remedy='pray', traceback='Traceback')\n"
        "heard()\nheard()\n"
    )
    with Machine(kernel) as machine:
        answers = machine.run("a.job")
        assert next(answers) == 1
        with pytest.raises(JobFailed, match=r"job on 6\.6\.6-play: Unavailable: no luck") as failed:
            next(answers)
    assert (failed.value.remedy, failed.value.traceback) == ("pray", "Traceback")


def test_it_is_killed_when_what_uses_it_fails(play: Play, pids: Path) -> None:
    kernel = play("signal.signal(signal.SIGTERM, signal.SIG_IGN)\nready()\ntime.sleep(600)\n")
    with pytest.raises(KeyboardInterrupt), Machine(kernel):
        raise KeyboardInterrupt
    assert gone(int(pids.read_text()), 0)


def test_it_ends_with_us_however_we_end(play: Play, pids: Path) -> None:
    play("ready()\ntime.sleep(600)\n")
    script = (
        "import os, pathlib, signal\n"
        "from refault.live.vm.kernel import Kernel\n"
        "from refault.live.vm.machine import Machine\n"
        "with Machine(Kernel(pathlib.Path('/none'), '6.6.6')):\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == -signal.SIGKILL
    assert gone(int(pids.read_text()))
