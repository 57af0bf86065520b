"""``refault arches``: tables, JSON, and names that are none."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from refault.cli import cli
from refault.linux.arch import ARCHITECTURES


def arches(*words: str) -> str:
    result = CliRunner().invoke(cli, ["arches", *words])
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("option", [(), ("--results",), ("--mixed",), ("--served",)])
def test_a_table_has_the_architectures_that_are_named(option: tuple[str, ...]) -> None:
    lines = arches("csky", "x86", *option).splitlines()
    assert any(line.startswith("csky ") for line in lines)
    assert not any(line.startswith("mips ") for line in lines)
    assert max(map(len, lines)) <= 100


def test_json_has_every_parameter_and_every_case() -> None:
    parameters = json.loads(arches("--json"))
    assert [p["arch"] for p in parameters] == list(ARCHITECTURES)
    cases = json.loads(arches("sh", "--results", "--json"))
    assert {c["end"] for c in cases if c["event"] == "SIGBUS"} == {"lock imbalance"}
    (service,) = json.loads(arches("arm", "--served", "--json"))
    assert service["asks_for"] == ["poison is SIGSEGV"]
    assert not service["differences"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["cksy"], "did you mean csky"),
        (["pdp11"], "there are x86"),
        (["--results", "--mixed"], "ask for one"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    result = CliRunner().invoke(cli, ["arches", *words])
    assert result.exit_code == 2
    assert message in result.output
