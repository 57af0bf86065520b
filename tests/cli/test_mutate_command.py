"""``refault mutate``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.cli.toys import Run

from refault.explore.mutate import Judged, Mutants
from refault.report import mutants as report

STRICT = '''
from refault import scenario

@scenario(source="test")
def handshake(k):
    """A flag must be set for the one who waits for it to get on."""
    flag = k.program.cell("flag", False)

    @k.thread
    def waits():
        assert flag.wait(bool)

    @k.thread
    def sets():
        flag.write(True)
'''


def test_there_is_a_line_for_each_mutant_survivors_last_and_a_summary(refault: Run) -> None:
    result = refault("mutate", "abba", "--plain")
    assert result.exit_code == 1
    heading, *lines, summary = result.stdout.splitlines()
    assert heading.split() == ["status", "kind", "verdict", "mutant"]
    words = [line.split()[0] for line in lines]
    assert set(words) <= {"killed", "invalid", "undecided", "SURVIVED"}
    first = words.index("SURVIVED")
    assert set(words[first:]) == {"SURVIVED"}
    assert all(" nothing in this scenario depends on " in line for line in lines[first:])
    assert summary.startswith(f"{len(lines)} mutants of a scenario with the verdict 'deadlock': ")
    assert f"{len(words) - first} survived; mutation score" in summary


def test_a_line_says_all_of_a_mutant(refault: Run) -> None:
    result = refault("mutate", "abba")
    (line,) = [x for x in result.stdout.splitlines() if "mutex_lock(lock*) without effect" in x][:1]
    assert line.startswith("killed    write     holds   ")
    assert "transfer > mutex_lock(lock*) without effect  (" in line
    assert "toys.py:" in line


def test_a_variant_has_mutants_of_its_own(refault: Run) -> None:
    summary = refault("mutate", "abba", "--variant", "with order").stdout.splitlines()[-1]
    assert "with the verdict 'holds'" in summary


def test_json_is_a_list_of_objects(refault: Run) -> None:
    result = refault("mutate", "abba", "--json")
    assert result.exit_code == 1
    rows = json.loads(result.stdout)
    assert {"mutant", "kind", "function", "place", "verdict", "status"} <= set(rows[0])
    assert {row["status"] for row in rows} >= {"killed", "survived"}
    assert all(row["mutant"].startswith(row["function"]) for row in rows)


def test_zero_if_nothing_survives(refault: Run, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(STRICT)
    result = refault("mutate", "mine.py::handshake")
    assert "SURVIVED" not in result.stdout, result.stdout
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1].endswith("2 killed, 0 survived; mutation score 100 %")


def test_what_is_too_big_is_inconclusive(refault: Run) -> None:
    result = refault("mutate", "many", "--time", "0.1")
    assert result.exit_code == 3
    assert "raise --time" in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize(
    "words", [("abba", "--time", "0"), ("nonsense",), (), ("abba", "both"), ("forgetful.py",)]
)
def test_bad_usage_is_two(refault: Run, words: tuple[str, ...]) -> None:
    assert refault("mutate", *words).exit_code == 2


def test_a_model_that_breaks_the_rules_is_bad_input(refault: Run) -> None:
    result = refault("mutate", "hidden")
    assert result.exit_code == 2
    assert "hidden state" in result.stderr


def test_ctrl_c_keeps_what_is_known(refault: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    judged = Mutants.judged

    def impatient(self: Mutants) -> Iterator[Judged]:
        yield next(judged(self))
        raise KeyboardInterrupt

    monkeypatch.setattr(Mutants, "judged", impatient)
    result = refault("mutate", "abba")
    assert result.exit_code == 3
    assert "refault: interrupted, 1 of " in result.stderr
    assert result.stdout.splitlines()[-1].startswith("1 mutant of a scenario")
    assert len(json.loads(refault("mutate", "abba", "--json").stdout)) == 1


def test_undecided_is_three_if_none_survived(
    refault: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def slow(self: Mutants) -> Iterator[Judged]:
        for mutation in self.mutations:
            yield Judged(mutation, "undecided", "", "the time is up: raise --time")

    monkeypatch.setattr(Mutants, "judged", slow)
    (tmp_path / "mine.py").write_text(STRICT)
    result = refault("mutate", "mine.py::handshake")
    assert result.exit_code == 3
    assert "raise --time" in result.stdout
    assert "no mutation score" in result.stdout


def test_help_says_what_a_violation_means_here(refault: Run) -> None:
    text = " ".join(refault("mutate", "--help").stdout.split())
    assert "Where a scenario is expected to go wrong, so must its mutants" in text


def test_totals_leave_out_what_says_nothing() -> None:
    mutation: Any = None
    judged = [Judged(mutation, s, "", "") for s in ("killed", "killed", "invalid", "survived")]
    assert report.summary(judged, "holds") == (
        "4 mutants of a scenario with the verdict 'holds': "
        "2 killed, 1 survived, 1 invalid; mutation score 67 %"
    )
