"""What is posted: drawing, diagnosis, and the command that replays it."""

from __future__ import annotations

from tests.report.golden import assert_golden
from tests.report.traces import DRAWING, LOST

from refault.explore.trace import Finding
from refault.report import diagnosis, mail
from refault.report.mail import replay_command


def test_drawing_diagnosis_and_replay_line_make_a_mail() -> None:
    assert_golden("mail", mail(DRAWING, replay=".refault/resolved-before-enqueue.json"))


def test_a_quoted_mail_is_quoted_throughout() -> None:
    quoted = mail(DRAWING, replay=".refault/x.json", prefix="> ")
    assert all(line.startswith(">") for line in quoted.splitlines())
    assert all(len(line) <= 76 for line in quoted.splitlines())


def test_without_a_file_there_is_nothing_to_replay() -> None:
    assert "refault replay" not in mail(DRAWING)


def test_the_diagnosis_is_wrapped_and_indented() -> None:
    assert diagnosis(LOST, width=50).splitlines() == [
        "lost wakeup: worker sleeps for ever, the page that",
        "  it waits for is present",
        "  worker: TASK_INTERRUPTIBLE in schedule(), queued",
        "    on ctx->fault_pending_wqh",
        "  the condition is already true: the PTE is",
        "    present and writable",
        "  the last wake-up by monitor came before the",
        "    enqueue; nobody is left to wake it",
    ]


def test_a_finding_may_have_no_more_than_a_kind() -> None:
    assert diagnosis(Finding("deadlock"), prefix=" * ") == " * deadlock"


def test_the_replay_command_can_be_pasted_into_a_shell() -> None:
    assert replay_command("my files/a@with-b.json") == "refault replay 'my files/a@with-b.json'"
