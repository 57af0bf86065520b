"""Claims: their verdicts are those of their scenarios, and change with them."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable

import pytest
from click.testing import CliRunner

from refault.cli import cli
from refault.explore import UserError
from refault.patches import canonical
from refault.scenarios import all_scenarios, find
from refault.scenarios.claims import Case, Claim, all_claims, find_claims, judge
from refault.scenarios.survey import Survey

SETTLED = {
    "1": "depends",
    "2": "confirmed",
    "3": "confirmed",
    "4": "confirmed",
    "5": "depends",
    "6": "depends",
    "7": "depends",
    "8": "depends",
    "9": "depends",
    "10": "confirmed",
    "11": "confirmed",
    "12": "confirmed",
    "13": "confirmed",
    "14": "confirmed",
    "15": "depends",
    "16": "confirmed",
    "17": "depends",
    "18": "confirmed",
    "19": "confirmed",
    "20": "depends",
    "21": "confirmed",
    "22": "confirmed",
    "23": "refuted",
    "24": "refuted",
    "25": "confirmed",
    "26": "confirmed",
    "27": "confirmed",
    "28": "confirmed",
    "29": "confirmed",
    "30": "confirmed",
    "31": "depends",
    "32": "confirmed",
    "33": "refuted",
    "34": "depends",
    "35": "confirmed",
    "36": "depends",
    "37": "confirmed",
    "38": "confirmed",
    "39": "confirmed",
    "40": "depends",
    "41": "confirmed",
    "42": "refuted",
    "43": "depends",
    "44": "depends",
    "45": "confirmed",
    "46": "confirmed",
    "47": "confirmed",
    "48": "confirmed",
    "49": "confirmed",
    "50": "confirmed",
    "51": "confirmed",
    "52": "refuted",
    "53": "depends",
    "54": "refuted",
    "55": "confirmed",
    "56": "confirmed",
    "57": "confirmed",
    "Q1": "confirmed",
    "Q2": "depends",
    "Q3": "depends",
    "Q4": "depends",
    "Q5": "depends",
    "Q6": "confirmed",
    "Q7": "depends",
    "Q8": "refuted",
    "Q9": "depends",
    "Q10": "depends",
    "Q11": "refuted",
    "Q12": "refuted",
    "Q13": "refuted",
    "Q14": "depends",
}


@functools.cache
def survey(scenario: str) -> Survey:
    return Survey(find(scenario), time=60)


def verdict(scenario: str, variant: str) -> tuple[str, str]:
    return survey(scenario).cell(variant)


@pytest.mark.parametrize("claim", all_claims(), ids=lambda claim: claim.id)
def test_each_claim_comes_out_as_written_down_here(claim: Claim) -> None:
    judgement = judge(claim, verdict)
    assert judgement.verdict == SETTLED[claim.id], judgement


def test_each_case_names_a_scenario_that_says_so() -> None:
    for claim in all_claims():
        assert claim.cases
        for case in claim.cases:
            assert find(case.scenario)
            assert canonical(canonical(case.variant)) == canonical(case.variant)


def test_each_number_on_a_scenario_is_a_claim() -> None:
    numbers = {claim.id for claim in all_claims()}
    assert {number for s in all_scenarios() for number in s.claims} <= numbers


def claim(*cases: Case) -> Claim:
    return Claim("1", "A claim.", "a test", cases)


YES, NO = Case("a", "", "holds"), Case("b", "", "lost wakeup")


def says(verdict: str) -> Callable[[str, str], tuple[str, str]]:
    return lambda _scenario, _variant: (verdict, "")


def test_all_none_or_some_of_the_cases() -> None:
    assert judge(claim(YES), says("holds")).verdict == "confirmed"
    assert judge(claim(NO), says("holds")).verdict == "refuted"
    assert judge(claim(YES, NO), says("holds")).verdict == "depends"
    assert judge(claim(), says("holds")).verdict == "open"
    always = Claim("1", "Always so.", "a test", (YES, NO), always=True)
    assert judge(always, says("holds")).verdict == "refuted"


@pytest.mark.parametrize("kind", ["inconclusive", "not modelled", "vacuous"])
def test_no_verdict_settles_nothing(kind: str) -> None:
    assert judge(claim(YES), says(kind)).verdict == "open"


def test_several_kinds_are_the_same_in_any_order() -> None:
    both = Case("a", "", "deadlock + lost wakeup")
    assert judge(claim(both), says("lost wakeup + deadlock")).verdict == "confirmed"
    assert judge(claim(both), says("deadlock")).verdict == "refuted"


def test_a_patch_undone_changes_the_verdict_of_a_claim() -> None:
    (waking,) = find_claims(["56"])
    ignoring = [
        Case(c.scenario, "without selftest_wake_on_eexist", c.supports) for c in waking.cases
    ]
    assert judge(claim(*ignoring), verdict).verdict != judge(waking, verdict).verdict


def test_claims_by_number_range_and_word() -> None:
    assert [c.id for c in find_claims(["50", "52-54", "q12", "50"])] == [
        "50",
        "52",
        "53",
        "54",
        "Q12",
    ]
    assert {c.id for c in find_claims(["numa"])} == {"55"}
    with pytest.raises(UserError, match="no claim is called"):
        find_claims(["4711"])


def test_the_command_says_what_shows_it() -> None:
    result = CliRunner().invoke(cli, ["claims", "54", "57"])
    assert result.exit_code == 0
    assert result.stdout.startswith("54  refuted    mprotect(2)")
    assert "               no   holds  writer-mprotect without" in result.stdout
    assert result.stdout.endswith("2 claims: 1 confirmed, 1 refuted\n")
    (row,) = json.loads(CliRunner().invoke(cli, ["claims", "54", "--json"]).stdout)
    assert (row["id"], row["verdict"]) == ("54", "refuted")
    assert [case["supports"] for case in row["scenarios"]] == [False, False]
