"""What a probe asks can be answered, whatever the model allows."""

from __future__ import annotations

import pytest

from refault.litmus.model import allowed
from refault.scenarios import find
from refault.scenarios.questions import QUESTIONS, UNTRIED, Question

KERNELS = ("", "without memory_failure", "6.1")


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda q: q.scenario)
def test_each_outcome_that_the_model_allows_is_an_answer(question: Question) -> None:
    program = find(question.scenario).live
    assert program is not None
    asked = {label for answer in question.answers for label in answer.when}
    assert asked <= set(program.labels)
    for kernel in KERNELS:
        for outcome in allowed(program, kernel).outcomes:
            assert question.answer([outcome]) != "unclear", (kernel, outcome)


def test_scenarios_that_are_not_tried_exist() -> None:
    assert all(find(one.scenario).live is not None for one in UNTRIED)


@pytest.mark.parametrize(
    ("id", "kernel", "answer"),
    [
        ("live-guest-load-usr1", "", "-EINTR at once"),
        ("live-guest-load-usr1", "6.1", "waits until the page comes"),
        ("live-move-races", "6.17", "no"),
        ("live-move-races", "6.1", "there is none"),
        ("live-poison-races", "6.1", "there is none"),
        ("live-fill-during-remove", "6.1", "-EAGAIN, no result"),
        ("live-unregister-races", "", "yes"),
        ("live-unregister-races", "6.1", "no"),
        ("live-unprotected-in-part", "6.1", "no"),
        ("live-unprotected-in-part", "6.4", "yes"),
        ("live-close-protected", "6.1", "yes"),
        ("live-close-protected", "6.1.191", "no"),
        ("live-close-protected", "", "no"),
        ("live-poison", "", "SIGBUS BUS_MCEERR_AR"),
        ("live-poison", "without memory_failure", "SIGBUS BUS_ADRERR"),
    ],
)
def test_kernels_differ(id: str, kernel: str, answer: str) -> None:
    question = next(q for q in QUESTIONS if q.scenario == id)
    program = find(id).live
    assert program is not None
    assert question.answer(allowed(program, kernel).outcomes) == answer
