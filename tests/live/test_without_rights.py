"""Who may not do something is told so, with a remedy; what needs no rights is done."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ASKS = Path(__file__).with_name("unprivileged.py")
OUTCOMES = ("ok", "Unavailable:")


@pytest.mark.usefixtures("puppet")
def test_nothing_fails_but_with_a_remedy() -> None:
    out = subprocess.run([sys.executable, ASKS], capture_output=True, text=True, check=True)
    said = dict(json.loads(line) for line in out.stdout.splitlines())
    assert len(said) == 9
    assert said["fork"] == "ok "
    assert said["sleeps"] == "ok S 0" or said["sleeps"].startswith("Unavailable")
    strange = {name: text for name, text in said.items() if text.split()[0] not in OUTCOMES}
    assert not strange
    assert all(not text.rstrip().endswith(":") for text in said.values()), "a remedy is empty"
