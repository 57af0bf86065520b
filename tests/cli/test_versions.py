"""``refault matrix`` and ``refault bisect``, on the real catalogue."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner, Result

from refault.cli import cli


def refault(*words: str) -> Result:
    result = CliRunner().invoke(cli, words)
    assert "Traceback" not in result.stderr
    return result


def test_a_matrix_has_a_line_for_each_scenario_and_says_what_its_words_mean() -> None:
    result = refault(
        "matrix", "resolved-before-enqueue", "writer-*dontneed", "--kernels", "5.10,6.1"
    )
    assert result.stdout == (
        "   5.10    6.1  scenario\n"
        "   lost      .  resolved-before-enqueue\n"
        " unserv      .  writer-dontneed\n"
        "\n"
        "      .  holds\n"
        "   lost  lost wakeup\n"
        " unserv  unserved fault\n"
    )
    assert result.exit_code == 0


def test_a_patch_can_be_in_all_columns() -> None:
    words = ("matrix", "resolved-before-enqueue", "--kernels", "5.10,6.1", "--json")
    found = json.loads(refault(*words, "--with", "anon-exclusive").stdout)
    assert [(cell["kernel"], cell["verdict"]) for cell in found] == [
        ("5.10", "holds"),
        ("6.1", "holds"),
    ]


def test_a_bound_shows_in_the_matrix_and_in_the_exit_code() -> None:
    words = ("matrix", "resolved-before-enqueue", "--kernels", "6.1", "--max-states", "5")
    result = refault(*words)
    assert "      ?  resolved-before-enqueue" in result.stdout
    assert result.exit_code == 3


def test_bisect_names_the_patch() -> None:
    result = refault("bisect", "resolved-before-enqueue", "--kernels", "5.15..6.1")
    assert result.stdout.startswith("5.15   lost wakeup\n5.18   holds\n         wp_drain_lru: mm:")
    (change,) = json.loads(
        refault("bisect", "resolved-before-enqueue", "--kernels", "5.15..6.1", "--json").stdout
    )
    assert change["commits"] == ["d4c470970d45"]


def test_bisect_says_that_nothing_changes() -> None:
    result = refault("bisect", "zeropage-then-store", "--kernels", "6.1,6.18")
    assert result.stdout == "6.1    lost wakeup\nNo version changes that.\n"


@pytest.mark.parametrize("command", ["matrix", "bisect"])
def test_a_version_that_is_not_there(command: str) -> None:
    result = refault(command, "zeropage-then-store", "--kernels", "6.33")
    assert result.exit_code == 2
    assert "no version of Linux is called '6.33' here" in result.stderr
    assert "hint: did you mean 6.3" in result.stderr
