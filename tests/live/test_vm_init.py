"""How the first process of a guest runs jobs; here it is not the first, and mounts nothing."""

from __future__ import annotations

import json
import os
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from refault.live.vm.guest.init import Port, run

JOB = """
import faulthandler, os, signal, sys

class NoLuck(Exception):
    remedy = "pray"

def main(given):
    faulthandler.disable()  # it would tell the reader of this test
    yield {"pid": os.getpid()}
    if given == "fail":
        raise NoLuck("it failed")
    if given == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if given == "leave":
        os._exit(3)
    if given == "exit":
        sys.exit("goodbye")
    yield given
"""


class Host:
    """The host's end of a line to a port."""

    def __init__(self) -> None:
        self.fd, self._port = os.openpty()
        tty.setraw(self.fd)
        self.port = Port(os.ttyname(self._port))
        self._in = os.fdopen(self.fd, "rb", buffering=0)

    def close(self) -> None:
        """Close the end of the line that is here."""
        self._in.close()
        os.close(self._port)

    def lines(self) -> Iterator[dict[str, Any]]:
        """What has come, up to the end of a job."""
        while True:
            line = json.loads(self._in.readline())
            yield line
            if "end" in line:
                return


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    (tmp_path / "the_job.py").write_text(JOB)
    monkeypatch.syspath_prepend(tmp_path)
    made = Host()
    yield made
    made.close()


def test_a_job_runs_in_a_process_of_its_own_and_says_when_it_ends(host: Host) -> None:
    given = {"long": "x" * 2000, "umlaut": "\u00e4\n"}
    run(host.port, 7, "the_job", given)
    first, second, end = host.lines()
    assert first["answer"]["pid"] != os.getpid()
    assert second == {"job": 7, "answer": given}
    assert end == {"job": 7, "end": ""}


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ("fail", "NoLuck: it failed"),
        ("crash", "killed by SIGSEGV"),
        ("leave", "exit with 3"),
        ("exit", "SystemExit: goodbye"),
    ],
)
def test_a_job_that_ends_badly_says_how(host: Host, given: str, says: str) -> None:
    run(host.port, 1, "the_job", given)
    _, end = host.lines()
    assert (end["job"], end["end"]) == (1, says)
    if given == "fail":
        assert end["remedy"] == "pray"
        assert "the_job.py" in end["traceback"]
    run(host.port, 2, "the_job", "more")
    assert [line.get("answer") for line in host.lines()][1:] == ["more", None]
