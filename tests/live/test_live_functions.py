"""What kernels were seen to call, and what the model calls in the same situations."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from refault.errors import UserError
from refault.linux.modelled import modelled_functions
from refault.live.functions import recording as recordings
from refault.live.functions.compare import (
    Step,
    agrees,
    align,
    compare,
    compare_run,
    known_functions,
    of_kernel,
    policies,
)
from refault.live.functions.execution import AS_TOLD, Policy, execute
from refault.live.functions.grain import BELOW, NAMES, names_in
from refault.live.functions.recording import Call, Recording
from refault.live.functions.stories import SITUATIONS
from refault.patches.version import parse

RECORDED = recordings.recorded()
EVERY = [(release, name) for release, one in RECORDED.items() for name in one.situations]

PREFETCH = {("5.10", "uffd-in-guest"), ("5.10", "signal-in-guest")}
"""KVM of 5.10 maps neighbours of the page as well, which the model does not."""

OURS = {
    path.stem.removeprefix("linux-"): recordings.read(path)
    for path in sorted(Path(__file__).with_name("recordings").glob("*.json"))
}
"""What ``record`` has written on kernels in the emulator: a second run, by other means."""

AGAIN = [(release, name) for release, one in OURS.items() for name in one.situations]

MODELLED = {function.name for function in modelled_functions()}


def test_five_kernels_come_with_the_package_and_each_situation_has_a_story() -> None:
    assert list(RECORDED) == ["5.10", "6.1", "6.12", "7.2", "7.3"]
    for one in RECORDED.values():
        assert set(one.situations) <= set(SITUATIONS)
        assert len(one.situations) >= 16
        assert one.version.startswith(one.release)
        assert one.machine
        assert one.runs == 1


@pytest.mark.parametrize("release", RECORDED)
def test_nothing_is_recorded_that_was_not_asked_for_or_cannot_be_traced(release: str) -> None:
    one = RECORDED[release]
    for name, situation in one.situations.items():
        for call in situation.calls:
            assert call.function in one.visible(name, call.thread), call


@pytest.mark.parametrize("release", RECORDED)
def test_a_recording_is_read_as_it_is_written(release: str) -> None:
    one = RECORDED[release]
    assert recordings.loads(recordings.dumps(one), release) == one


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "JSONDecodeError"),
        ("[]", "TypeError"),
        ('{"kernel": "x"}', "KeyError: 'version'"),
        (json.dumps(recordings.as_json(RECORDED["6.1"])).replace(" < ", " by "), "is no call"),
    ],
)
def test_what_is_no_recording_is_told_by_its_file(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(UserError, match=r"mine\.json is no recording") as told:
        recordings.read(path)
    assert said in told.value.message
    assert told.value.remedy
    with pytest.raises(UserError, match="No such file"):
        recordings.read(tmp_path / "none.json")


@pytest.mark.parametrize(("release", "name"), EVERY)
def test_kernel_and_model_call_the_same_functions_in_the_same_order(
    release: str, name: str
) -> None:
    found = compare(RECORDED[release], name)
    differing = [line for thread in found.threads for line in thread.lines if not line.agrees]
    assert found.agrees == ((release, name) not in PREFETCH), differing
    if not found.agrees:
        assert [line.kernel for line in differing] == ["internal_get_user_pages_fast"]


@pytest.mark.parametrize(("release", "name"), AGAIN)
def test_a_second_recording_agrees_but_for_how_the_guest_ends(release: str, name: str) -> None:
    """Its guest ends with MMIO, for which KVM looks for memory that is not there."""
    found = compare(OURS[release], name)
    differing = [line for thread in found.threads for line in thread.lines if not line.agrees]
    mmio = ["kvm_mmu_page_fault", "kvm_faultin_pfn", "kvm_tdp_mmu_map", "kvm_release_pfn_clean"]
    assert [line.kernel for line in differing] == (mmio if name == "uffd-in-guest" else [])
    assert not any(line.model for line in differing)


def test_a_second_recording_keeps_all_of_the_monitor() -> None:
    for one in OURS.values():
        assert not one.not_kept
        calls = {call.function for call in one.situations["uffd-wp"].of("monitor")}
        assert {"__wake_up_common", "change_protection"} <= calls
    flushes = [
        call.function
        for call in OURS["6.12"].situations["uffd-wp"].of("monitor")
        if call.function == "flush_tlb_mm_range"
    ]
    assert len(flushes) == 1


def policy_of(release: str, name: str) -> Policy:
    return next(p for p in policies() if agrees(RECORDED[release], name, p))


@pytest.mark.parametrize("name", RECORDED["6.12"].situations)
def test_a_function_that_the_model_would_not_call_is_missed(name: str) -> None:
    one = RECORDED["6.12"]
    policy = policy_of("6.12", name)
    names = names_in(one.version)
    threads = one.situations[name].threads()
    for function in {step.function for t in threads for step in of_kernel(one, name, t)}:
        gone = frozenset({function, *(m for m, recorded in names.items() if recorded == function)})
        for other in {policy, *policies()}:
            assert not agrees(one, name, other, gone), function


def steps(name: str) -> list[Step]:
    return of_kernel(RECORDED["6.1"], name, "faulter")


@given(st.data())
def test_a_step_left_out_done_twice_or_too_early_is_seen(data: st.DataObject) -> None:
    kernel = steps(data.draw(st.sampled_from(sorted(RECORDED["6.1"].situations))))
    at = data.draw(st.integers(0, len(kernel) - 2))
    here, following = kernel[at], kernel[at + 1]
    changed = {
        "left out": kernel[:at] + kernel[at + 1 :],
        "twice": [*kernel[: at + 1], *kernel[at:]],
        "too early": [*kernel[:at], following, here, *kernel[at + 2 :]],
    }
    for what, model in changed.items():
        same = what == "too early" and here.function == following.function
        lines = align(kernel, model)
        assert all(line.agrees for line in lines) == same, what
        assert [line.kernel for line in lines if line.kernel] == [s.function for s in kernel]
        assert [line.model for line in lines if line.model] == [s.function for s in model]
        assert sum(line.kernel != line.model for line in lines) <= 2


def test_a_call_from_elsewhere_is_seen() -> None:
    kernel = [Step("up_read", ("handle_userfault",))]
    assert align(kernel, [Step("up_read", ("do_user_addr_fault", "handle_userfault"))])[0].agrees
    (line,) = align(kernel, [Step("up_read", ("do_user_addr_fault",))])
    assert (line.kernel, line.model, line.around) == ("up_read", "up_read", "handle_userfault")
    assert not line.agrees


def test_what_is_passed_over_is_not_modelled() -> None:
    for below in BELOW:
        assert below.reason
        assert below.callers or below.function not in known_functions("6.12"), below
        assert below.callers or below.function not in MODELLED, below


@pytest.mark.parametrize("release", RECORDED)
def test_calls_that_are_passed_over_the_model_does_not_make(release: str) -> None:
    """Else a difference in them would be hidden."""
    one = RECORDED[release]
    names = names_in(one.version)
    for name in one.situations:
        for entered in execute(SITUATIONS[name].story, one.version, AS_TOLD, 3000).calls:
            function = names.get(entered.function, entered.function)
            around = [names.get(f, f) for f in entered.around]
            call = Call(entered.thread, function, around[-1] if around else "")
            assert not any(below.covers(call) for below in BELOW), call


def used(one: Recording) -> set[tuple[str, str]]:
    calls = (call for situation in one.situations.values() for call in situation.calls)
    return {(call.function, call.caller) for call in calls}


def test_each_name_and_each_thing_passed_over_is_needed() -> None:
    seen = {release: used(one) for release, one in RECORDED.items()}
    for release, one in OURS.items():
        seen[release] |= used(one)
    for below in BELOW:
        found = (Call("", *pair) for pairs in seen.values() for pair in pairs)
        assert any(below.covers(call) for call in found), below
    for name in NAMES:
        assert name.modelled in MODELLED, name
        holding = [r for r, one in RECORDED.items() if name.holds(parse(one.version))]
        assert any(name.recorded == f for r in holding for f, _ in seen[r]), name


def test_a_model_that_never_ends_or_finds_something_does_not_agree() -> None:
    one = RECORDED["6.1"]
    whole = recordings.Situation(one.situations["signal-in-copy"].calls)
    uncut = Recording(**{**vars(one), "situations": {"signal-in-copy": whole}})
    found = compare_run(uncut, "signal-in-copy", AS_TOLD)
    assert not found.agrees
    assert found.ended == "the model goes on for ever"


def test_the_policy_says_who_goes_on() -> None:
    story = SITUATIONS["uffd-missing-graph"].story
    told = [e.function for e in execute(story, "6.1").calls if e.thread == "faulter"]
    late = execute(story, "6.1", Policy(late=True)).calls
    assert "pollwake" in told
    assert "pollwake" not in [e.function for e in late]
    overtaken = execute(story, "6.1", Policy(2)).calls
    assert [e.function for e in overtaken if e.thread == "faulter"].count("unlink_uwq") == 1
    assert "unlink_uwq" not in told
