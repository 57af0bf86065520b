"""A probe of the running kernel."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from refault.cli import cli
from refault.live.inventory import INVENTORY, take
from refault.report.probe import THINGS, Row, page

pytestmark = pytest.mark.usefixtures("uffd_allowed")


def test_there_is_an_answer_for_all_that_is_looked_at_or_a_remedy() -> None:
    found = list(take())
    assert [answer["name"] for answer in found] == list(INVENTORY) == list(THINGS)
    assert all(answer["answer"] or answer["remedy"] for answer in found)


def test_the_page_of_the_running_kernel() -> None:
    result = CliRunner().invoke(cli, ["probe", "--seconds", "0.02", "--json"])
    assert result.exit_code == 0, result.output
    data = json.loads(result.stdout)
    assert set(data) == {"kernel", "rows"}
    rows = [Row(**row) for row in data["rows"]]
    assert all(row.answer != "unclear" for row in rows)
    assert all(row.answer or (row.missing and row.remedy) for row in rows)
    assert all(row.seen <= row.runs for row in rows)
    assert max(map(len, page(data["kernel"], rows).splitlines())) <= 80
