"""The page about a kernel, from what was recorded on one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.report.golden import assert_golden

from refault.report.probe import THINGS, Row, page, programs, rows
from refault.scenarios.questions import QUESTIONS, UNTRIED

RECORDED = json.loads(Path(__file__).with_name("probe.json").read_text())


def test_the_page() -> None:
    text = page(RECORDED["kernel"], [Row(**row) for row in RECORDED["rows"]])
    assert max(map(len, text.splitlines())) <= 80
    assert_golden("probe", text)


def test_the_page_of_a_machine_without_kvm() -> None:
    denied = {
        "answer": "",
        "missing": "/dev/kvm: Permission denied",
        "remedy": "run on a machine with KVM, as a user who may use it",
    }
    rows = [
        row | denied if "KVM" in row["text"] else row
        for row in RECORDED["rows"]
        if "KVM" in row["text"] or row["scenario"] == "live-pipe-write-usr1"
    ]
    text = page(RECORDED["kernel"], [Row(**row) for row in rows])
    assert max(map(len, text.splitlines())) <= 80
    assert_golden("probe-without-kvm", text)


def test_what_cannot_be_tried_says_why_and_what_helps() -> None:
    row = Row("g", "KVM_RUN", "", "live-guest-load-usr1", 0, 0, "no KVM", "have one")
    text = page({"release": "6.1", "machine": "x86_64"}, [row])
    assert "KVM_RUN" in text
    assert "live-guest-load-usr1" in text
    assert "no KVM; have one" in text


def test_every_answer_becomes_a_line() -> None:
    nothing = {"answer": "yes", "outcomes": [], "missing": "not here", "remedy": "a newer kernel"}
    found = rows({"name": name, **nothing} for name in [*THINGS, *programs()])
    assert len(found) == len(THINGS) + len(QUESTIONS) + len(UNTRIED)
    assert [row.scenario for row in found if row.scenario][: len(QUESTIONS)] == programs()
    assert all(row.answer or row.missing for row in found)


def test_an_answer_says_how_often_it_was_seen() -> None:
    question = next(q for q in QUESTIONS if q.scenario == "live-move-races")
    moved, wrong = [["move", "4096"], ["load", "0"]], [["move", "-EEXIST"], ["load", "0"]]
    answers: list[dict[str, Any]] = [
        {"name": n, "answer": "yes", "outcomes": [], "missing": "-", "remedy": ""}
        for n in [*THINGS, *programs()]
        if n != question.scenario
    ]
    answers.append({"name": question.scenario, "outcomes": [[moved, 90], [wrong, 10]]})
    (row,) = (r for r in rows(answers) if r.scenario == question.scenario)
    assert (row.answer, row.seen, row.runs) == ("yes", 10, 100)
    assert "yes, 1 in 10 " in page({"release": "6.18", "machine": "x86_64"}, [row])
