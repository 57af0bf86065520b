"""Scenarios in files of the user's own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.cli.toys import Run

STORY = '''
from refault.linux.kernel.locking.spinlock import SpinLock, spin_lock, spin_unlock

def abba(k):
    """Two locks, taken in opposite orders."""
    tell(k, 2)

def many(k):
    """Far too many."""
    tell(k, 16)

def tell(k, threads):
    locks = [SpinLock(k.program, f"lock{n}") for n in range(threads)]

    def start(n):
        @k.thread(name=f"thread{n}")
        def thread():
            first, second = locks[n], locks[(n + 1) % threads]
            spin_lock(first)
            spin_lock(second)
            spin_unlock(second)
            spin_unlock(first)

    for n in range(threads):
        start(n)
'''


@pytest.fixture
def story(tmp_path: Path) -> Path:
    path = tmp_path / "story.py"
    path.write_text(STORY)
    return path


def test_a_function_that_takes_a_kernel_is_a_scenario(refault: Run, story: Path) -> None:
    result = refault("check", "story.py::abba")
    assert result.exit_code == 1, "a bare function should hold"
    assert "deadlock, NOT as expected" in result.stdout
    assert [
        line for line in refault("list", "story.py").stdout.splitlines() if line[:1].strip()
    ] == [
        "abba",
        "many",
    ]


def test_its_counterexample_finds_the_file_again(refault: Run, story: Path) -> None:
    refault("check", "story.py::abba")
    result = refault("replay", ".refault/abba.json")
    assert result.exit_code == 0
    assert "spin_lock(lock1)" in result.stdout
    assert result.stderr == ""


def test_a_file_that_has_changed_is_worth_a_warning(refault: Run, story: Path) -> None:
    refault("check", "story.py::abba")
    story.write_text(f"{STORY}\n# a remark\n")
    result = refault("replay", ".refault/abba.json")
    assert result.exit_code == 0
    assert "story.py has changed since it was recorded" in result.stderr


def test_a_file_that_has_moved_can_be_named(refault: Run, story: Path) -> None:
    refault("check", "story.py::abba")
    story.rename(story.with_name("elsewhere.py"))
    result = refault("replay", ".refault/abba.json")
    assert result.exit_code == 2
    assert "story.py: no such file" in result.stderr
    moved = refault("replay", ".refault/abba.json", "--scenario", "elsewhere.py::abba")
    assert moved.exit_code == 0


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        ("def broken(k)\n    pass\n", "story.py", r"story.py:1: "),
        ("x = 1\n\ny = undefined\n", "story.py", r"story.py:3: NameError"),
        ("\x00\x01", "story.py", "story.py"),
        ("def lonely():\n    pass\n", "story.py::lonely", "story.py:1: "),
        ("def two(k, more):\n    pass\n", "story.py::two", "story.py:1: "),
        ("x = 1\n", "story.py", "story.py has no scenario"),
        ("def k_is_wrong(k):\n    k.nope()\n", "story.py", "story.py:2: AttributeError"),
        (STORY, "story.py::abab", "story.py has no scenario called 'abab'"),
    ],
)
def test_a_file_that_is_no_scenario_says_where_and_what_to_do(
    refault: Run, story: Path, text: str, words: str, message: str
) -> None:
    story.write_text(text)
    result = refault("check", words)
    assert result.exit_code == 2
    assert result.stderr.startswith("refault: error: ")
    assert message in result.stderr
    assert "  hint: " in result.stderr


def test_ctrl_c_ends_a_long_search_with_what_is_known(story: Path) -> None:
    words = [sys.executable, "-m", "refault", "check", "--engine", "states"]
    words += ["story.py::abba", "story.py::many"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=story.parent
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("verdict")
        assert process.stdout.readline().startswith("deadlock, NOT as expected")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 3
    assert out.startswith("inconclusive")
    assert "interrupted, 1 of 2 checks done" in err
    assert "Traceback" not in err
