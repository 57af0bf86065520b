"""Litmus tests on the model: stories whose endings are known."""

from __future__ import annotations

import pytest

from refault.explore import UserError
from refault.litmus import Litmus
from refault.litmus.model import allowed
from refault.litmus.program import said


def outcomes(t: Litmus, variant: str = "") -> set[str]:
    return {said(outcome) for outcome in allowed(t.program, variant).outcomes}


def test_a_fault_sleeps_until_the_page_comes() -> None:
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.copy(p)
    t.monitor.status(program)
    assert outcomes(t) == {
        "load=copied status='S handle_userfault' read='read p' copy=4096 status2=idle"
    }


def test_order_is_forced_but_not_among_those_whom_one_copy_wakes() -> None:
    t = Litmus()
    p, one, other = t.memory(), t.thread("one"), t.thread("other")
    one.load(p)
    other.store(p, 9)
    t.monitor.copy(p)
    assert outcomes(t) == {"load=copied store=stored copy=4096", "load=9 store=stored copy=4096"}


def test_what_is_told_together_races() -> None:
    t = Litmus()
    p, one, other = t.memory(modes="", contents="page"), t.thread("one"), t.thread("other")
    with t.together():
        one.load(p)
        other.store(p, 9)
    assert outcomes(t) == {"load=0 store=stored", "load=9 store=stored"}


def test_a_signal_in_user_mode_is_handled_at_once_and_the_fault_told_again() -> None:
    t = Litmus()
    t.handle("SIGUSR1")
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.read()
    t.monitor.kill(program, "SIGUSR1")
    t.monitor.handled(program)
    t.monitor.read()
    t.monitor.status(program)
    assert outcomes(t) == {
        "load=blocked read='read p' handled=1 read2='read p' status='S handle_userfault'"
    }


def test_an_idle_thread_handles_its_signals_too() -> None:
    t = Litmus()
    t.handle("SIGUSR1")
    program = t.thread("program")
    t.monitor.kill(program, "SIGUSR1")
    t.monitor.handled(program)
    t.monitor.status(program)
    assert outcomes(t) == {"handled=1 status=idle"}


def test_an_access_that_gets_sigbus_is_over() -> None:
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.poison(p)
    program.load(p)
    assert outcomes(t) == {"load='SIGBUS BUS_MCEERR_AR' poison=4096 load2='SIGBUS BUS_MCEERR_AR'"}


def test_a_bare_process_dies_of_it() -> None:
    t = Litmus()
    t.bare()
    p, program = t.memory(contents="poisoned page"), t.thread("program")
    program.load(p)
    t.monitor.status(program)
    t.monitor.copy(p)
    assert outcomes(t) == {"load=blocked status=dead copy=-ESRCH"}


def test_who_is_busy_misses_its_turn() -> None:
    t = Litmus()
    p, program = t.memory(pages=2), t.thread("program")
    program.load(p)
    program.load(p[1])
    t.monitor.copy(p)
    assert outcomes(t) == {"load=copied load2=missed copy=4096"}


def test_who_stops_is_stopped_until_it_may_continue() -> None:
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.kill(program, "SIGSTOP")
    t.monitor.status(program)
    t.monitor.copy(p)
    t.monitor.kill(program, "SIGCONT")
    t.monitor.status(program)
    assert outcomes(t) == {"load=copied status='T do_signal_stop' copy=4096 status2=idle"}


def test_versions_differ() -> None:
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    program.load(p)
    t.monitor.copy(p, wake=False)
    t.monitor.copy(p)
    t.monitor.status(program)
    (base,) = outcomes(t)
    assert base == "load=blocked copy=4096 copy2=-EEXIST status='S handle_userfault'"
    (woken,) = outcomes(t, "with kernel_wakes_on_eexist")
    assert woken == "load=copied copy=4096 copy2=-EEXIST status=idle"


def test_a_step_that_does_not_exist_is_an_error_that_names_those_that_do() -> None:
    t = Litmus()
    t.monitor.do("jump")
    with pytest.raises(UserError, match="no step of a litmus test is called 'jump'"):
        allowed(t.program)
