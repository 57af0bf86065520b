"""A way to run the command line on a small catalogue."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from tests.cli.toys import CATALOGUE, Run

from refault.cli import cli, select
from refault.scenarios import api, registry


def spaced(variant: str) -> str:
    """Tidy the blanks of a variant: the toys know no patches, so any name will do."""
    return " ".join(variant.split())


@pytest.fixture
def catalogue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the small catalogue in the place of the real one."""
    for module in (registry, select):
        monkeypatch.setattr(module, "all_scenarios", lambda: CATALOGUE)
    for module in (api, select):
        monkeypatch.setattr(module, "canonical", spaced)
    monkeypatch.setattr(api, "elsewhere", lambda variant: variant[:1].isdigit())


@pytest.fixture
def refault(catalogue: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command line in an empty folder: ``refault("check", "abba")``."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> Result:
        result = CliRunner().invoke(cli, words)
        assert "Traceback" not in result.stderr
        return result

    return run
