"""The public face, and what it costs to look at it."""

from __future__ import annotations

import subprocess
import sys

import refault
from refault import explore

FACE = {
    "BLOCKED", "Blocked", "Cell", "EndlessLoop", "Event", "Evidence", "Finding", "HiddenState",
    "Holders", "Limits", "Mode", "ModelError", "Names", "Nondeterminism", "Op", "Program",
    "ReplayDiverged", "Replayer", "Task", "Trace", "UserError", "Verdict", "View", "Violation",
    "atomic", "check", "choose", "current_program", "current_task", "finish", "note",
    "renamed_in_order", "replay", "restart", "running", "scope", "traced",
}  # fmt: skip


def test_the_explorer_exports_what_it_says() -> None:
    assert set(explore.__all__) == FACE
    assert all(hasattr(explore, name) for name in FACE)


def test_the_package_exports_what_it_says() -> None:
    assert set(refault.__all__) == {"Scenario", "Verdict", "check", "scenario"}
    assert all(getattr(refault, name) is not None for name in refault.__all__)


def test_help_imports_nothing_heavy() -> None:
    """`refault --help` answers before anything native is loaded."""
    code = (
        "import sys\n"
        "from click.testing import CliRunner\n"
        "from refault.cli import cli\n"
        "assert CliRunner().invoke(cli, ['--help']).exit_code == 0\n"
        "heavy = {'greenlet', 'msgspec', 'rich', 'pluggy', 'refault.explore', 'refault.linux'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


def test_live_bindings_import_nothing_of_the_model() -> None:
    """They run in guests that hold an interpreter and little else."""
    code = (
        "import sys\n"
        "from refault.live import abi, kvm, proc, puppet, userfaultfd\n"
        "print(sorted(n for n in sys.modules if n.startswith('refault.')))\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "refault.errors" in out.stdout
    assert "refault.explore" not in out.stdout
