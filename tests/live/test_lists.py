"""Lists of commands that threads work off by themselves, and runs of programs that race."""

from __future__ import annotations

import signal
from collections.abc import Iterator

import pytest

from refault.litmus import Litmus
from refault.litmus.program import said
from refault.live.abi import Nr
from refault.live.interrupts import Interrupts
from refault.live.lists import BEGUN, CALL, DONE, LOAD, NOT_BEGUN, STORE, Board
from refault.live.play import observe
from refault.live.play.record import NotListed
from refault.live.play.rounds import batches
from refault.live.puppet import Puppet


@pytest.fixture
def board() -> Board:
    return Board(16)


@pytest.fixture
def puppet(board: Board) -> Iterator[Puppet]:
    with Puppet(2) as found:
        yield found


def test_a_list_is_done_in_its_order(board: Board, puppet: Puppet) -> None:
    page, entries = puppet.map(), [board.entry() for _ in range(3)]
    entries[0].put(STORE, 0, (page, 5))
    entries[1].put(LOAD, 1, (page,))
    entries[2].put(CALL, 2, (Nr.GETPID,))
    assert board.start(puppet.thread(), entries[0]).wait() == 0
    assert [entry.result for entry in entries] == [5, 5, puppet.pid]
    assert board.done == 3


def test_threads_take_turns(board: Board, puppet: Puppet) -> None:
    page = puppet.map()
    first = [board.entry() for _ in range(2)]
    board.entry()
    second = board.entry()
    first[0].put(STORE, 0, (page, 1))
    second.put(STORE, 1, (page, 2))
    first[1].put(LOAD, 2, (page,))
    commands = [board.start(puppet.thread(n), e) for n, e in ((1, second), (0, first[0]))]
    assert [command.wait() for command in commands] == [0, 0]
    assert first[1].result == 2


def test_who_waits_for_a_turn_that_never_comes_can_be_stopped(board: Board, puppet: Puppet) -> None:
    entry = board.entry()
    entry.put(LOAD, 1, (puppet.map(),))
    command = board.start(puppet.thread(), entry)
    assert not command.done
    board.stop()
    command.wait()
    assert entry.state == NOT_BEGUN


def test_a_signal_ends_an_access_and_not_the_list(board: Board, puppet: Puppet) -> None:
    puppet.handle(signal.SIGSEGV)
    entries = [board.entry() for _ in range(2)]
    entries[0].put(LOAD, 0, (8,))
    entries[1].put(CALL, 1, (Nr.GETPID,))
    board.start(puppet.thread(), entries[0]).wait()
    assert (entries[0].result, entries[0].code) == (-signal.SIGSEGV, 1)
    assert entries[1].result == puppet.pid


def test_who_sleeps_in_a_list_is_seen_to(board: Board, puppet: Puppet) -> None:
    read, write = puppet.map(), puppet.thread(1)
    ends = puppet.thread().slot.room(bytes(8))
    puppet.thread().call(Nr.PIPE2, ends, 0)
    entry = board.entry()
    entry.put(CALL, 0, (Nr.READ, 3, read, 1))
    command = board.start(puppet.thread(), entry)
    puppet.wait_until(lambda: puppet.thread().proc.state == "S")
    assert entry.state == BEGUN
    assert not command.done
    write.call(Nr.WRITE, 4, write.slot.room(b"x"), 1)
    command.wait()
    assert (entry.state, entry.result) == (DONE, 1)


def test_a_thread_that_is_interrupted_goes_on(board: Board, puppet: Puppet) -> None:
    page, entries = puppet.map(), [board.entry() for _ in range(10)]
    for index, entry in enumerate(entries):
        entry.put(STORE, index, (page, index))
    try:
        interrupts = Interrupts(puppet.thread(), 10_000)
    except OSError as error:
        pytest.skip(f"no performance events: {error.strerror}")
    board.start(puppet.thread(), entries[0]).wait()
    interrupts.close()
    interrupts.close()
    assert [entry.result for entry in entries] == list(range(10))


@pytest.mark.usefixtures("uffd_allowed")
def test_runs_go_on_where_nobody_may_be_interrupted(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(13, "not here")

    monkeypatch.setattr("refault.live.play.rounds.Interrupts", refuse)
    monkeypatch.setattr("refault.live.play.rounds.INTERRUPTED", 1.0)
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.zeropage(p)
    assert observe(t.program, 10).total() == 10


@pytest.mark.usefixtures("uffd_allowed")
def test_whoever_is_late_the_fault_is_served() -> None:
    t = Litmus()
    p, program = t.memory(), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.copy(p)
    t.monitor.status(program)
    assert {said(o) for o in observe(t.program, 600)} == {"load=copied copy=4096 status=idle"}


@pytest.mark.usefixtures("uffd_allowed")
def test_a_run_in_which_somebody_falls_asleep_is_finished() -> None:
    t = Litmus()
    p, program, other = t.memory(), t.thread("program"), t.thread("other")
    with t.together():
        program.load(p)
        other.do("madv_free", "", at=p[0])
    t.monitor.status(program)
    t.monitor.read()
    t.monitor.copy(p)
    seen = {said(o) for o in observe(t.program, 5)}
    assert seen == {"load=copied status='S handle_userfault' read='read p' copy=4096"}


def test_what_has_to_be_looked_at_in_between_is_not_for_lists() -> None:
    t = Litmus()
    p, program = t.memory(modes="", contents="page"), t.thread("program")
    with t.together():
        program.load(p)
        t.monitor.wake(p)
    t.monitor.do("protection", at=p[0])
    program.load(p)
    with pytest.raises(NotListed, match="a list has no protection"):
        list(batches(t.program, 1))
