"""What the pages say is what happens.

``REFAULT_REGENERATE=1 pytest tests/project`` runs the sessions of all pages and makes their tables
anew, in place; read the difference first.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import click
import pytest
from tests.project.pages import (
    PAGES,
    ROOT,
    blocks,
    commands,
    generated,
    prose,
    renewed,
    same,
)
from tests.project.tables import PIECES, TABLES

from refault.cli import COMMANDS, cli
from refault.linux import modelled_functions
from refault.plugins import Hooks
from refault.scenarios import load_file

EXAMPLES = ROOT / "examples"
EVERY = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


@EVERY
def test_sessions_and_tables_are_up_to_date(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    text = page.read_text()
    for block in blocks(text, "python"):
        if block.file:
            Path(block.file).write_text(block.body)
    new = renewed(text, TABLES)
    if os.environ.get("REFAULT_REGENERATE"):
        page.write_text(new)
    assert same(new, page.read_text())


@EVERY
def test_python_blocks_are_the_examples_of_the_same_name(page: Path) -> None:
    for block in blocks(page.read_text(), "python"):
        compile(block.body, block.file or page.name, "exec")
        if block.file:
            assert block.body == (EXAMPLES / block.file).read_text()


def test_each_example_is_on_a_page() -> None:
    shown = {block.file for page in PAGES for block in blocks(page.read_text(), "python")}
    assert {path.name for path in EXAMPLES.glob("*.py")} <= shown


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("[!t]*.py")), ids=lambda path: path.name)
def test_an_example_has_the_verdict_that_it_expects(path: Path) -> None:
    for scenario in load_file(str(path)):
        for variant in scenario.variants:
            assert scenario.as_expected(scenario.check(variant), variant)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("test_*.py")), ids=lambda path: path.name)
def test_an_example_of_a_test_passes(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLES))
    names: dict[str, object] = {}
    exec(compile(path.read_text(), path, "exec"), names)
    tests = [test for name, test in names.items() if name.startswith("test_")]
    assert tests
    for test in tests:
        assert callable(test)
        test()


def anchors(text: str) -> set[str]:
    """The anchors that the headings of a page make."""
    headings = re.findall(r"^#+ (.*)$", prose(text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.replace(" ", "-") for heading in plain}


@EVERY
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(page.read_text())):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        path = (page.parent / file) if file else page
        assert path.exists(), target
        assert not anchor or anchor in anchors(path.read_text()), target


def invocations(text: str) -> list[list[str]]:
    """Every ``refault …`` that a page names, in its sessions and in its prose, as words."""
    inline = re.findall(r"`\$? ?(refault [^`]+)`", prose(text))
    lines = [line for block in blocks(text, "console") for line in commands(block.text)]
    lines += re.findall(r"bin/(refault .*)", "\n".join(b.text for b in blocks(text, "sh")))
    return [shlex.split(re.sub(r"\\?\n", " ", line)) for line in [*inline, *lines]]


@EVERY
def test_commands_and_options_exist(page: Path) -> None:
    context = click.Context(cli)
    for _refault, *words in invocations(page.read_text()):
        command: click.Command | None = cli
        if not words[0].startswith("-"):
            assert words[0] in COMMANDS, words
            command = cli.get_command(context, words[0])
        assert command is not None
        options = {o for parameter in command.get_params(context) for o in parameter.opts}
        for word in words:
            assert not word.startswith("-") or word in options, (words, word)


def test_every_command_and_every_hook_is_documented() -> None:
    pages = "\n".join(page.read_text() for page in PAGES)
    for command in COMMANDS:
        assert f"refault {command}" in pages
    for hook in [name for name in vars(Hooks) if name.startswith("refault_")]:
        assert f"`{hook}()`" in pages


def test_every_table_is_on_a_page_and_every_piece_is_modelled() -> None:
    assert sorted(name for page in PAGES for name in generated(page.read_text())) == sorted(TABLES)
    assert {function.name for function in modelled_functions()} >= set(PIECES)
