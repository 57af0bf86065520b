"""Recording which functions are called: what the tracer writes, and what a puppet performs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest

from refault.live.abi import Unavailable
from refault.live.functions.compare import compare
from refault.live.functions.record import CUTS, SITUATIONS, main
from refault.live.functions.recording import Call, from_answers, recorded, version_of
from refault.live.functions.stories import SITUATIONS as STORIES
from refault.live.functions.tracer import FunctionTracer, parsed
from refault.live.vm.machine import Machine

WRITTEN = """\
# tracer: function
#           TASK-PID     CPU#  |||||  TIMESTAMP  FUNCTION
         python3-77      [001] .....    12.000100: schedule <-futex_wait_queue
         python3-77      [001] ...1.    12.000200: handle_mm_fault <-do_user_addr_fault
         python3-77      [001] d.h1.    12.000250: try_to_wake_up <-hrtimer_wakeup
          <idle>-0       [000] d..1.    12.000260: schedule <-schedule_idle
   a - b [2]-78          [000] .....    12.000300: userfaultfd_poll <-do_sys_poll
         python3-77      [001] ...2.    12.000400: up_read <-do_user_addr_fault
         python3-77      [001] .....    12.000500: get_futex_key <-futex_wake
         python3-77      [001] .....    12.000600: gup_fast_fallback <-get_user_pages_fast
         python3-77      [001] .....    12.000700: gup_fast_fallback <-get_user_pages_fast_only
"""


def test_what_was_written_down_without_interrupts_and_waits() -> None:
    assert parsed(WRITTEN, {77: "faulter", 78: "monitor"}) == [
        Call("faulter", "handle_mm_fault", "do_user_addr_fault"),
        Call("monitor", "userfaultfd_poll", "do_sys_poll"),
        Call("faulter", "up_read", "do_user_addr_fault"),
        Call("faulter", "gup_fast_fallback", "get_user_pages_fast_only"),
    ]
    assert parsed("", {77: "faulter"}) == []


def test_each_situation_that_is_performed_has_a_story() -> None:
    assert set(SITUATIONS) <= set(STORIES)
    assert set(SITUATIONS) >= CUTS


@pytest.mark.parametrize(
    ("release", "built", "version"),
    [
        ("6.1.0-56-cloud-amd64", "#1 SMP PREEMPT_DYNAMIC Debian 6.1.192-2 (2026-11-16)", "6.1.192"),
        ("6.18.44", "#1 SMP", "6.18.44"),
        ("7.3-amd64", "#1 SMP PREEMPT Debian 7.3~rc7-1", "7.3"),
        ("own", "", "own"),
    ],
)
def test_the_version_of_a_kernel(release: str, built: str, version: str) -> None:
    assert version_of(release, built) == version


def test_answers_become_a_recording() -> None:
    answers: list[dict[str, Any]] = [
        {"kernel": "6.1.0-1", "built": "Debian 6.1.192-1", "not_traceable": ["find_vma"]},
        {"situation": "first-touch", "calls": ["faulter handle_mm_fault < do_user_addr_fault"]},
        {"situation": "uffd-wp", "why": "a page cannot be registered"},
    ]
    found = from_answers(answers, ["handle_mm_fault", "find_vma"], "mine")
    assert list(found.situations) == ["first-touch"]
    assert found.visible("first-touch", "faulter") == {"handle_mm_fault"}
    assert compare(found, "first-touch").agrees


def usable() -> str:
    """Why functions cannot be traced here; empty if they can."""
    try:
        FunctionTracer(["schedule"]).close()
    except Unavailable as error:
        return error.message
    return ""


def test_without_a_tracer_it_says_so_in_one_line() -> None:
    if not usable():
        pytest.skip("functions can be traced here")
    module = "refault.live.functions.record"
    done = subprocess.run(
        [sys.executable, "-m", module], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert not done.stdout
    (line,) = done.stderr.splitlines()
    assert "no functions can be traced" in line
    assert "; " in line


def test_the_running_kernel_calls_what_it_was_asked_for() -> None:
    why = usable()
    if why:
        pytest.skip(why)
    asked = ["handle_mm_fault", "no_such_function"]
    first, second = main({"asked": asked, "situations": ["first-touch"]})
    assert first["not_traceable"] == ["no_such_function"]
    assert [call.split()[1] for call in second["calls"]] == ["handle_mm_fault"]


@pytest.mark.slow
def test_another_kernel_in_the_emulator_agrees_with_the_model(guest: Machine) -> None:
    asked = recorded()["6.1"].asked
    given = {"asked": asked, "situations": ["first-touch", "uffd-missing", "uffd-in-gup"]}
    answers = list(guest.run("refault.live.functions.record", given, seconds=300))
    found = from_answers(json.loads(json.dumps(answers)), asked, "QEMU TCG")
    assert len(found.situations) == 3
    assert all(compare(found, name).agrees for name in found.situations)
