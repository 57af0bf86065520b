"""``refault live``: what is said of what a kernel did, whatever it did."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from click.testing import CliRunner, Result

from refault.cli import cli, live_modes
from refault.cli import live as command
from refault.litmus.model import allowed
from refault.live.abi import Unavailable
from refault.live.fuzz import Tally
from refault.scenarios import find

TWO = "live-two-on-one-page"


class Fake:
    """A kernel that answers what it is told to."""

    spin = 0.1

    def __init__(self, answer: Mapping[str, Any], name: str = "fake") -> None:
        self.name = name
        self.answer = answer
        self.given: Mapping[str, Any] = {}

    def __enter__(self) -> Fake:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def run(self, _module: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Answer."""
        self.given = given
        yield {"release": f"6.18.1-{self.name}", "version": "", "memory_failure": True}
        for name, _program in given["programs"]:
            yield {"name": name, "outcomes": [], "missing": "", "remedy": "", **self.answer}


class Absent(Fake):
    """A kernel that is not to be had."""

    def __enter__(self) -> Fake:
        raise Unavailable("there is no such machine", "buy one")


def run(monkeypatch: pytest.MonkeyPatch, kernels: list[Fake], *args: str) -> Result:
    monkeypatch.setattr(command, "places", lambda _asked, _progress: kernels)
    return CliRunner().invoke(cli, ["live", *args])


def outcomes(*changes: Mapping[str, str]) -> list[Any]:
    """An outcome that the model allows, with changes, three times each."""
    program = find(TWO).live
    assert program is not None
    one = min(allowed(program, "6.18.1").outcomes)
    return [[[[k, change.get(k, v)] for k, v in one], 3] for change in changes]


def test_what_is_allowed_is_well(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake({"outcomes": outcomes({})})
    result = run(monkeypatch, [fake], TWO, "--runs", "3", "--seed", "9")
    assert result.exit_code == 0, result.output
    assert (fake.given["runs"], fake.given["seed"]) == (3, 9)
    assert f"       3  1 of 2    {TWO}" in result.output
    assert "     never  allowed: load=copied" in result.output
    assert result.output.splitlines()[-1] == "1 of 1 as the model allows"


def test_what_is_forbidden_fails_loudly(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake({"outcomes": outcomes({}, {"status": "S handle_userfault"})})
    result = run(monkeypatch, [fake], TWO)
    assert result.exit_code == 1
    assert f"       6  FORBIDDEN {TWO}" in result.output
    assert "    3 runs  FORBIDDEN: " in result.output
    assert "status='S handle_userfault'" in result.output
    assert "0 of 1 as the model allows" in result.output


def test_to_have_seen_nothing_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [Fake({})], TWO)
    assert result.exit_code == 1
    assert f"       0  NOTHING   {TWO}" in result.output


def test_json_has_what_scripts_need(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = Fake({"outcomes": outcomes({}, {"copy": "0"})})
    result = run(monkeypatch, [fake], TWO, "--json")
    (one,) = json.loads(result.output)
    assert (one["scenario"], one["kernel"]) == (TWO, "6.18.1-fake")
    assert [seen["count"] for seen in one["observed"]] == [3, 3]
    assert len(one["allowed"]) == 2
    assert [seen["copy"] for seen in one["forbidden_seen"]] == ["0"]
    assert result.exit_code == 1


def test_a_scenario_that_is_not_possible_there_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(monkeypatch, [Fake({"missing": "no such ioctl", "remedy": "Linux 9"})], TWO)
    assert result.exit_code == 3
    assert "no such ioctl: Linux 9" in result.output
    assert "0 of 0 as the model allows, 1 not here" in result.output


def test_a_kernel_that_is_not_to_be_had_is_said_and_the_rest_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kernels = [Absent({}, "gone"), Fake({"outcomes": outcomes({})})]
    result = run(monkeypatch, kernels, TWO, "--matrix")
    assert result.exit_code == 0
    assert "refault: gone: there is no such machine\n  buy one" in result.output
    rows = [line.split() for line in result.output.splitlines() if line.startswith(TWO)]
    assert rows == [[TWO, "-", "1", "of", "2"]]


def test_a_scenario_without_a_litmus_test_is_bad_input() -> None:
    result = CliRunner().invoke(cli, ["live", "eexist-wakes-nobody"])
    assert result.exit_code == 2
    assert "no litmus test is called eexist-wakes-nobody" in result.output


def test_the_order_of_functions_of_a_recorded_kernel() -> None:
    result = CliRunner().invoke(cli, ["live", "--functions", "first-touch", "--kernel", "6.1"])
    assert result.exit_code == 0, result.output
    assert "agree             1 of 1" in result.output


def test_situations_and_kernels_that_nobody_recorded_are_bad_input() -> None:
    result = CliRunner().invoke(cli, ["live", "--functions", "last-touch"])
    assert result.exit_code == 2
    assert "no situation is called last-touch" in result.output
    result = CliRunner().invoke(cli, ["live", "--functions", "--kernel", "2.6"])
    assert result.exit_code == 2
    assert "nothing was recorded on 2.6" in result.output


@pytest.mark.parametrize(("differences", "code"), [([], 0), (["p: load differs"], 1)])
def test_fuzzing_ends_with_what_differs(
    monkeypatch: pytest.MonkeyPatch, differences: list[str], code: int
) -> None:
    tally = Tally(seed=4, operations=20, sequences=2, differences=differences)
    tally.discarded["no room"] = 1
    monkeypatch.setattr(live_modes, "fuzz", lambda *_, **__: tally)
    result = CliRunner().invoke(cli, ["live", "--fuzz", "20", "--seed", "4"])
    assert result.exit_code == code
    assert result.output.startswith(
        f"20 operations in 2 programs, seed 4: {len(differences)} differ, 1 discarded\n"
        "  discarded 1: no room\n"
    )
    assert all(difference in result.output for difference in differences)
