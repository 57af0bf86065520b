"""Start, help, version, and Ctrl-C: what happens around the commands."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import click
import pytest
from tests.cli.toys import Run, Toy

from refault import __version__
from refault.cli import COMMANDS, cli
from refault.explore import Verdict

HEAVY = ("greenlet", "msgspec", "pluggy", "rich", "refault.explore", "refault.scenarios")


def python(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, check=False)


def test_help_needs_no_more_than_100_ms_of_cpu() -> None:
    spent = []
    for _ in range(3):
        before = os.times()
        assert python("-m", "refault", "--help").returncode == 0
        after = os.times()
        spent.append(sum(after[2:4]) - sum(before[2:4]))
    assert min(spent) < 0.1


def test_help_imports_nothing_heavy() -> None:
    code = (
        "import sys\nfrom refault.cli import cli\ncli(['--help'], standalone_mode=False)\n"
        f"sys.exit(' '.join(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert python("-c", code).stderr.strip() == ""


def test_help_lists_the_commands_and_exit_codes(refault: Run) -> None:
    shown = refault("--help").stdout
    assert all(f"  {name} " in shown for name in COMMANDS)
    assert "3  inconclusive" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_their_own_help_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.help is not None
    assert command.name == name
    assert COMMANDS[name].rstrip(".") in command.help.splitlines()[0]


def test_version(refault: Run) -> None:
    assert refault("--version").stdout == f"refault {__version__}\n"


def interrupt(*_args: Any, **_limits: Any) -> Verdict:
    raise KeyboardInterrupt


def test_ctrl_c_keeps_finished_lines_and_ends_with_what_is_known(
    refault: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest = Toy.check

    def check(self: Toy, variant: str = "", **limits: Any) -> Verdict:
        return (interrupt if variant else honest)(self, variant, **limits)

    monkeypatch.setattr(Toy, "check", check)
    result = refault("check", "abba", "many")
    assert result.exit_code == 3
    _heading, finished, broken_off = result.stdout.splitlines()
    assert finished.startswith("deadlock, as expected")
    assert broken_off.startswith("inconclusive ")
    assert broken_off.endswith("abba with order  (expected holds; interrupted)")
    assert "interrupted, 1 of 3 checks done" in result.stderr


def test_ctrl_c_while_the_json_is_awaited(refault: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Toy, "check", interrupt)
    result = refault("check", "abba", "--json")
    assert result.exit_code == 3
    assert '"verdict": "inconclusive"' in result.stdout


def test_ctrl_c_in_show_and_replay(refault: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    refault("check", "abba")
    monkeypatch.setattr(Toy, "check", interrupt)
    monkeypatch.setattr(Toy, "replay", interrupt)
    for words in (["show", "abba"], ["replay", ".refault/abba.json"]):
        result = refault(*words)
        assert result.exit_code == 3
        assert "refault: interrupted" in result.stderr
