"""Signals to who waits for a page, and refused copies: what the tables of the page rest upon."""

from __future__ import annotations

import pytest

from refault.litmus import Litmus
from refault.litmus.model import CPUS, allowed
from refault.scenarios import live_refused, live_signals

ONE_OF_A_KIND = ("load", "send", "vmsplice", "guest-load", "emulated-load")
LOSES_ITS_TIMER = "nanosleep"


def outcomes(origin: str, signal: str, variant: str = "") -> list[dict[str, str]]:
    program = live_signals.FAMILY[origin, signal].live
    assert program is not None
    return [dict(outcome) for outcome in allowed(program, variant).outcomes]


@pytest.mark.parametrize("origin", ONE_OF_A_KIND)
@pytest.mark.parametrize("signal", live_signals.SIGNALS)
def test_only_the_messages_of_who_spins_are_left_to_chance(origin: str, signal: str) -> None:
    found = outcomes(origin, signal)
    several = {label for label in found[0] if len({one[label] for one in found}) > 1}
    spins = any(one.get("after") == "spins" for one in found)
    assert several == ({"again"} if spins else set())


@pytest.mark.parametrize("origin", ["send", "emulated-load"])
def test_a_copy_of_the_kernel_spins_until_the_page_comes(origin: str) -> None:
    for one in outcomes(origin, "usr1"):
        assert (one["after"], one["handled"], one["end"], one["ran"]) == ("spins", "0", "idle", "1")


def test_a_sleep_for_no_time_may_be_interrupted_before_it_is_over() -> None:
    for signal in ("usr1", "usr1-restart"):
        assert {one["result"] for one in outcomes(LOSES_ITS_TIMER, signal)} == {"0", "-EINTR"}
    assert {one["result"] for one in outcomes(LOSES_ITS_TIMER, "stop")} == {"0"}


def test_kvm_hears_of_signals_since_6_2() -> None:
    (old,), (new,) = outcomes("guest-load", "usr1", "6.1"), outcomes("guest-load", "usr1", "6.2")
    assert (old["after"], old["result"]) == ("D handle_userfault", "-EINTR")
    assert (new["after"], new["result"]) == ("idle", "-EINTR")
    assert (old["handled"], new["handled"]) == ("0", "1")


def test_two_spin_on_one_page_and_one_copy_ends_both() -> None:
    t = Litmus()
    t.handle("SIGUSR1")
    p, one, other = t.memory(), t.thread("one"), t.thread("other")
    for thread in (one, other):
        thread.call("send", p, label=thread.name)
        t.monitor.kill(thread, "SIGUSR1")
        t.monitor.status(thread, label=f"{thread.name} after")
    t.monitor.copy(p)
    for thread in (one, other):
        t.monitor.status(thread, label=f"{thread.name} end")
    (found,) = allowed(t.program).outcomes
    assert dict(found) == {
        "one": "100",
        "other": "100",
        "one after": "spins",
        "other after": "spins",
        "copy": "4096",
        "one end": "idle",
        "other end": "idle",
    }


@pytest.mark.parametrize("place", live_refused.PLACES)
@pytest.mark.parametrize("name", ["pipe-write", "file-read", "send", "vm-read-there", "access"])
def test_what_is_refused_is_refused_alike_on_each_cpu(name: str, place: str) -> None:
    program = live_refused.FAMILY[name, place].live
    assert program is not None
    each = [allowed(program, cpus=(cpu,)).outcomes for cpu in CPUS.values()]
    assert all(len(outcomes) == 1 for outcomes in each)
    assert len({dict(outcome)["result"] for outcomes in each for outcome in outcomes}) == 1
    assert allowed(program).outcomes == frozenset().union(*each)
