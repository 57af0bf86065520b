"""``refault list``, ``refault show`` and ``refault replay``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.cli.toys import CATALOGUE, Run, Toy, abba

DRAWING = """\
cpu0: task0                     cpu1: task1
-----------                     -----------
transfer()
 mutex_lock(lock0)  (1)
 [holds lock0]
 mutex_lock(lock1)  (2)

                                transfer()
                                 mutex_lock(lock1)           (3)
                                 [holds lock1]
                                 [from here on it is inevitable]
                                 mutex_lock(lock0)           (4)

It takes (1) before (4) and (3) before (2).

deadlock: task0, task1 wait for ever
"""
KEPT = ".refault/abba.json"


def test_list_names_scenarios_with_their_claims_and_expectations(refault: Run) -> None:
    assert refault("list", "abba").stdout.splitlines() == [
        "abba",
        "    Tasks that take two locks in opposite orders stop each other.",
        "    deadlock  as in 6.18",
        "    holds     with order",
    ]
    assert [s["scenario"] for s in json.loads(refault("list", "--json").stdout)] == [
        s.id for s in CATALOGUE
    ]


def test_show_tells_story_source_verdict_drawing_and_evidence(refault: Run) -> None:
    result = refault("show", "abba")
    assert result.exit_code == 0
    parts = ["The textbook's deadlock.", "source: a textbook", "deadlock, as expected", DRAWING]
    places = [
        result.stdout.index(part) for part in [*parts, f"refault replay {KEPT}", "evidence: "]
    ]
    assert places == sorted(places)


def test_show_of_what_holds_has_evidence_and_no_drawing(refault: Run) -> None:
    result = refault("show", "abba", "--variant", "with order")
    assert "holds, as expected" in result.stdout
    assert "evidence: " in result.stdout
    assert "cpu0" not in result.stdout


def test_show_can_be_pasted_into_a_comment(refault: Run) -> None:
    result = refault("show", "abba", "--prefix", " * ", "--width", "60")
    assert all(line.startswith(" *") for line in result.stdout.splitlines())
    assert all(len(line) <= 60 for line in result.stdout.splitlines())


def test_show_as_json_has_trace_and_evidence(refault: Run) -> None:
    shown = json.loads(refault("show", "abba", "--json").stdout)
    assert shown["verdict"] == "deadlock"
    assert shown["findings"][0]["trace"]["schedule"] == [["task0", 0], ["task1", 0]]
    assert shown["evidence"]["states"] == shown["states"]
    assert shown["files"] == [KEPT]


def test_a_kept_counterexample_replays(refault: Run) -> None:
    refault("check", "abba")
    result = refault("replay", KEPT)
    assert result.exit_code == 0
    assert result.stdout.startswith(DRAWING)
    assert json.loads(refault("replay", KEPT, "--json").stdout)["same"] is True


def test_a_schedule_that_no_longer_fits_is_exit_code_1(refault: Run, tmp_path: Path) -> None:
    refault("check", "abba")
    kept = tmp_path / KEPT
    kept.write_text(kept.read_text().replace('["task1", 0]', '["task1", 0], ["task1", 0]'))
    result = refault("replay", KEPT)
    assert result.exit_code == 1
    assert "does not fit the model at step" in result.stderr


def test_another_finding_than_the_recorded_one_is_exit_code_1(refault: Run, tmp_path: Path) -> None:
    refault("check", "abba")
    kept = tmp_path / KEPT
    kept.write_text(kept.read_text().replace('"kind": "deadlock"', '"kind": "lost wakeup"'))
    result = refault("replay", KEPT)
    assert result.exit_code == 1
    assert "recorded was 'lost wakeup', the schedule now ends in 'deadlock'" in result.stderr


def test_a_counterexample_of_an_unknown_scenario_can_be_told_where_it_is(
    refault: Run, tmp_path: Path
) -> None:
    refault("check", "abba")
    kept = tmp_path / KEPT
    kept.write_text(kept.read_text().replace('"scenario": "abba"', '"scenario": "renamed"'))
    result = refault("replay", KEPT)
    assert result.exit_code == 2
    assert "no scenario is called 'renamed'" in result.stderr
    assert "--scenario" in result.stderr
    assert refault("replay", KEPT, "--scenario", "abba").exit_code == 0


@pytest.mark.parametrize("damage", ["", "not json", '{"a": 1}', '{"tool": "refault", "form'])
def test_a_damaged_file_is_bad_input(refault: Run, tmp_path: Path, damage: str) -> None:
    (tmp_path / "mailed.json").write_text(damage)
    result = refault("replay", "mailed.json")
    assert result.exit_code == 2
    assert result.stderr.startswith("refault: error: mailed.json: ")


def test_the_variant_is_replayed_with_its_patches(
    refault: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    refault("check", "abba", "--variant", "with more locks")
    told: list[str] = []

    def build(_self: Toy, variant: str = "") -> object:
        told.append(variant)
        return abba

    monkeypatch.setattr(Toy, "build", build)
    assert refault("replay", ".refault/abba@with-more-locks.json").exit_code == 0
    assert told == ["with more locks"]
