"""``refault check``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.toys import Run


def test_each_variant_has_a_line_and_all_as_expected_is_zero(refault: Run) -> None:
    result = refault("check", "abba")
    assert result.exit_code == 0
    _heading, base, mended = result.stdout.splitlines()
    assert base.startswith("deadlock, as expected")
    assert base.endswith("  abba")
    assert mended.startswith("holds, as expected")
    assert mended.endswith("  abba with order")


def test_json_is_a_list_of_objects(refault: Run) -> None:
    result = refault("check", "abba", "--json")
    base, mended = json.loads(result.stdout)
    assert (base["scenario"], base["variant"], base["ok"]) == ("abba", "", True)
    assert (base["switches"], base["steps"]) == (1, 2)
    assert mended["verdict"] == mended["expected"] == "holds"
    assert mended["switches"] is mended["steps"] is None


def test_a_variant_without_an_expectation_should_hold(refault: Run) -> None:
    result = refault("check", "abba", "--variant", "with  more locks")
    assert result.exit_code == 1
    assert "deadlock, NOT as expected" in result.stdout
    assert result.stdout.rstrip().endswith("abba with more locks  (expected holds)")


def test_of_another_version_nothing_is_expected(refault: Run) -> None:
    result = refault("check", "abba", "--kernel", "5.9")
    assert result.exit_code == 1
    assert result.stdout.splitlines()[1].startswith("deadlock  ")
    assert "expected" not in result.stdout


def test_options_that_choose_a_variant_add_up(refault: Run) -> None:
    result = refault("check", "abba", "--kernel", "5.9", "--on", "csky", "--with", "order")
    assert result.stdout.rstrip().endswith("abba 5.9, on csky, with order")


def test_a_variant_alone_chooses_the_scenarios_that_state_it(refault: Run) -> None:
    result = refault("check", "--variant", "with order")
    assert result.exit_code == 0
    assert len(result.stdout.splitlines()) == 2


def test_a_limit_makes_it_inconclusive_and_names_the_flag(refault: Run) -> None:
    result = refault("check", "many", "--max-states", "50")
    assert result.exit_code == 3
    assert "inconclusive" in result.stdout
    assert "raise --max-states" in result.stdout
    assert refault("check", "many", "--time", "0.05").exit_code == 3
    assert refault("check", "many", "--max-memory", "1M").exit_code == 3


def test_no_reduction_finds_the_same(refault: Run) -> None:
    reduced, plain = (
        json.loads(refault("check", "abba", "--json", *flags).stdout)
        for flags in ((), ("--no-reduction",))
    )
    assert [row["verdict"] for row in reduced] == [row["verdict"] for row in plain]
    assert sum(row["states"] for row in reduced) <= sum(row["states"] for row in plain)


def test_patterns_choose_scenarios(refault: Run) -> None:
    assert "  abba" in refault("check", "ab*").stdout


@pytest.mark.parametrize("defect", ["hidden", "endless"])
def test_a_defect_of_a_model_is_bad_input_and_stops_no_other(refault: Run, defect: str) -> None:
    result = refault("check", defect, "abba")
    assert result.exit_code == 2
    assert result.stdout.splitlines()[1].startswith("error ")
    assert len(result.stdout.splitlines()) == 4
    assert f"refault: error: {defect}: " in result.stderr
    assert "toys.py:" in result.stderr
    assert "  hint: " in result.stderr


def test_all_kinds_of_findings_are_told_and_kept(refault: Run, tmp_path: Path) -> None:
    result = refault("check", "both")
    assert result.exit_code == 0
    assert "use after free" in result.stdout
    assert "deadlock" in result.stdout
    kept = sorted(path.name for path in (tmp_path / ".refault").glob("*.json"))
    assert kept == ["both.2.json", "both.json"]
    for name in kept:
        assert refault("replay", f".refault/{name}").exit_code == 0


def test_counterexamples_are_kept(refault: Run, tmp_path: Path) -> None:
    refault("check", "abba")
    refault("check", "abba", "--variant", "with more locks", "--keep", "mine")
    assert (tmp_path / ".refault" / "abba.json").exists()
    assert (tmp_path / "mine" / "abba@with-more-locks.json").exists()


def test_or_not_kept(refault: Run, tmp_path: Path) -> None:
    refault("check", "abba", "--no-keep")
    assert not (tmp_path / ".refault").exists()


def test_a_folder_that_cannot_be_written_costs_a_warning_only(refault: Run, tmp_path: Path) -> None:
    (tmp_path / ".refault").write_text("in the way")
    result = refault("check", "abba")
    assert result.exit_code == 0
    assert "deadlock, as expected" in result.stdout
    assert result.stderr.count("refault: warning: counterexamples are not kept") == 1


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["check", "abab"], "no scenario is called 'abab'", "did you mean abba?"),
        (["show", "abab"], "no scenario is called 'abab'", "did you mean abba?"),
        (["check", "--variant", "with ordr"], "has a variant 'with ordr'", "'with order'?"),
        (["show", "*"], "several scenarios: abba, many, hidden, endless, both", "name one"),
        (["check", "absent.py"], "absent.py: no such file", "path of a Python file"),
        (["show", "hidden"], "hidden", ""),
    ],
)
def test_bad_input_is_a_message_and_a_hint(
    refault: Run, words: list[str], message: str, hint: str
) -> None:
    result = refault(*words)
    assert result.exit_code == 2
    assert result.stdout == "" or words[0] == "check"
    assert result.stderr.startswith("refault: error: ")
    assert message in result.stderr
    assert f"  hint: {hint}" in result.stderr or hint in result.stderr.partition("hint:")[2]


@pytest.mark.parametrize(
    "words",
    [
        ["check", "--max-memory", "much"],
        ["check", "--max-memory", "0"],
        ["check", "--max-states", "0"],
        ["check", "--time", "-1"],
        ["check", "--no-such-option"],
        ["chekc"],
        ["show"],
        ["show", "abba", "--width", "3"],
    ],
)
def test_bad_usage_is_exit_code_2(refault: Run, words: list[str]) -> None:
    result = refault(*words)
    assert result.exit_code == 2
    assert "Error: " in result.stderr
