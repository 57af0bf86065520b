"""Live mode runs where there is Python and nothing else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import refault

SCRIPT = """
import importlib, sys
sys.path[:0] = [sys.argv[1]]
before = set(sys.modules)
for name in sys.argv[2:]:
    importlib.import_module("refault.live." + name)
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - set(sys.stdlib_module_names)))
print(*sorted(n for n in sys.modules if n.startswith("refault.explore")))
"""


def test_nothing_but_the_standard_library_is_needed() -> None:
    root = Path(refault.__file__).parent
    names = sorted(p.stem for p in (root / "live").glob("*.py"))
    out = subprocess.run(
        [sys.executable, "-S", "-I", "-c", SCRIPT, root.parent, *names],
        capture_output=True,
        text=True,
        check=True,
    )
    assert out.stdout.splitlines() == ["refault", ""]
