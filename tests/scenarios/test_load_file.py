"""Scenarios from files of one's own: what is one there, and what is refused, with a remedy."""

from __future__ import annotations

import functools
import re
from pathlib import Path

import pytest

import refault
from refault.explore import UserError
from refault.linux import Kernel
from refault.scenarios import Scenario, load_file

GOOD = '''
def a_page(k):
    """A page that is there can be read."""
    page, _ = k.uffd_page(contents="page")

    @k.thread
    def reader():
        page.load()
'''


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def load(text: str, name: str = "") -> list[Scenario]:
    """Load a file of this text, and what is called ``name`` in it."""
    Path("story.py").write_text(text)
    return load_file(f"story.py{'::' * bool(name)}{name}")


@pytest.mark.parametrize("name", ["", "a_page", "a-page"])
def test_a_function_is_found_by_its_name_and_by_its_id(folder: Path, name: str) -> None:
    (scenario,) = load(GOOD, name)
    assert scenario.id == "a-page"
    scenario.check().assert_holds()


def test_a_module_beside_the_file_can_be_imported(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.path", ["/nowhere"])
    (folder / "pages_of_mine.py").write_text('CONTENTS = "page"')
    text = "from pages_of_mine import CONTENTS\n" + GOOD.replace('"page"', "CONTENTS")
    load(text)[0].check().assert_holds()


@pytest.mark.parametrize(
    ("text", "message", "remedy"),
    [
        ("def f(:", "story.py:1: not valid Python", "mend"),
        ("\0", "not valid Python", "mend"),
        ("1 / 0", "story.py:1: ZeroDivisionError on import", "mend"),
        ("\nimport sys; sys.exit(0)", "story.py:2: SystemExit on import", "mend"),
        ("from . import x", "attempted relative import", "write `import x`"),
        ("def f(): pass", "story.py has no scenario", "def my_story(k)"),
        ("def f(k):\n    yield", "scenario f is a generator", "without yield"),
        ("async def f(k): pass", "scenario f is a generator or a coroutine", "without yield"),
        (
            "import refault\n@refault.scenario(source='')\ndef f(): pass",
            "story.py:2: scenario f must take one argument, the kernel; it takes 0",
            "def f(k)",
        ),
        (
            "import refault\n@refault.scenario(source='', expect={'with x': ''})\ndef f(k): pass",
            "story.py:2: expectation of f: no patch is called 'x'",
            "there are",
        ),
    ],
)
def test_a_file_that_tells_no_story_is_refused(
    folder: Path, text: str, message: str, remedy: str
) -> None:
    with pytest.raises(UserError, match=re.escape(message)) as caught:
        load(text)
    assert message in caught.value.message
    assert remedy in caught.value.remedy


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ("absent.py", "absent.py: no such file"),
        (".", ".: is a folder"),
        ("x\0.py", "null"),
        (f"{'x' * 5000}.py", "too long"),
    ],
)
def test_what_is_no_file_is_refused(folder: Path, where: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_file(where)


def test_a_folder_that_is_gone_is_no_reason_to_fall_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UserError, match="No such file"):
        load_file("story.py")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("import sys; sys.exit(0)", "story.py:3: the story ends the program"),
        ("k.uffd_page(contents='water')", "story.py:3: a page cannot hold 'water'"),
        ("k.uffd_page()[0].load()", "story.py:3: .*an operation outside any task"),
    ],
)
def test_an_error_while_a_story_is_told_has_its_line(folder: Path, body: str, message: str) -> None:
    (scenario,) = load(f"def f(k):\n    'A story.'\n    {body}\n")
    with pytest.raises(UserError) as caught:
        scenario.check()
    assert re.match(message, caught.value.message)


def test_only_a_function_is_a_story() -> None:
    def story(k: Kernel, _word: str) -> None:
        """A story with a parameter more."""

    with pytest.raises(UserError, match="it is not a function"):
        refault.check(functools.partial(story, _word="x"))
