"""The C programs that show findings on a running kernel: they build without a warning.

They are not run here: what they show is a race, or takes a kernel setting that is root's.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "examples" / "live"


@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
@pytest.mark.parametrize("source", sorted(FOLDER.glob("*.c")), ids=lambda p: p.stem)
def test_a_reproducer_builds(source: Path, tmp_path: Path) -> None:
    command = ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]
    subprocess.run([*command, str(tmp_path / source.stem), str(source)], check=True)


def test_each_is_told_of_in_the_findings() -> None:
    told = (FOLDER.parents[1] / "docs" / "findings.md").read_text()
    sources = list(FOLDER.glob("*.c"))
    assert sources
    assert all(f"examples/live/{s.name}" in told for s in sources)
