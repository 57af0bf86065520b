"""What is switched on for the whole machine is switched off again, whoever ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import pytest

from refault.live.play import ksm

LIVE = """
import time
from refault.live.play.ksm import _ksmd_runs
with _ksmd_runs():
    print("runs", flush=True)
    time.sleep(60)
"""


def settings() -> dict[str, str]:
    return {name: (ksm.KSM / name).read_text() for name in ksm.QUICK}


@pytest.mark.skipif(
    not os.access(ksm.KSM / "run", os.W_OK), reason="KSM is not here, or not for us"
)
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_settings_are_restored_when_we_are_killed(number: signal.Signals) -> None:
    before = settings()
    with subprocess.Popen([sys.executable, "-c", LIVE], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"runs\n"
            assert (ksm.KSM / "run").read_text() == "1\n"
        finally:
            child.send_signal(number)
    deadline = time.monotonic() + 20
    while settings() != before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert settings() == before
