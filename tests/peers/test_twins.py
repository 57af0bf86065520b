"""The twins of the bench check the same programs: what can be counted alike is counted alike."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench.peers.found import PEERS
from bench.peers.peer import BENCH, Bounds, Peer, Said
from bench.programs import PROGRAMS, SMALL, TABLE, Bench, philosophers, uffd

from refault.explore import check

STATES = [peer for peer in PEERS if peer.counts == "states"]
TRACES = [peer for peer in PEERS if peer.counts == "traces"]
SAME_TRACES = {
    "readers-6": Bench("readers", {"n": 6}),
    "lastzero-5": Bench("lastzero", {"n": 5}),
    "indexer-12": Bench("indexer", {"n": 12}),
    "filesystem-16": Bench("filesystem", {"n": 16}),
    "counter-3": Bench("counter", {"n": 3}, unordered=True),
    "lockn-4": Bench("lockn", {"n": 4}),
    "philosophers-5": philosophers(5, 1, 0),
    "philosophers-5-swapped": philosophers(5, 1, 1),
    "philosophers-3x2": philosophers(3, 2, 0),
}


def ask(peer: Peer, bench: Bench, folder: Path) -> Said:
    """Let a peer count its twin without leaving anything out; skip where it is not here."""
    if not peer.version():
        pytest.skip(f"no {peer.name} here: {peer.get}")
    if not peer.has(bench):
        pytest.skip(f"{peer.name} has no twin of {bench.model}")
    measured = peer.measure(bench, folder, Bounds(exact=True))
    assert measured.said is not None, measured
    return measured.said


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("peer", STATES, ids=lambda p: p.name)
def test_they_count_the_same_states(peer: Peer, name: str, tmp_path: Path) -> None:
    """Two checkers, two models, one number, and the same answer."""
    said = ask(peer, SMALL[name], tmp_path)
    ours = check(SMALL[name].build(), engine="states", reduce=False)
    assert said.found == (ours.kind == "violated")
    if not said.first:
        assert said.counted == ours.evidence.states


@pytest.mark.parametrize("name", SAME_TRACES)
@pytest.mark.parametrize("peer", TRACES, ids=lambda p: p.name)
def test_they_count_the_same_traces(peer: Peer, name: str, tmp_path: Path) -> None:
    """Every Mazurkiewicz trace once, and a deadlock is the end of one."""
    said = ask(peer, SAME_TRACES[name], tmp_path)
    assert said.counted == check(SAME_TRACES[name].build(), engine="traces").evidence.traces


@pytest.mark.parametrize("peer", TRACES, ids=lambda p: p.name)
def test_one_faulter_has_as_many_traces_in_c_give_or_take_a_compare_and_exchange(
    peer: Peer, tmp_path: Path
) -> None:
    """C has no step that reads a message; a load and an exchange that may fail are two."""
    said = ask(peer, uffd(1), tmp_path)
    ours = check(uffd(1).build(), engine="traces").evidence.traces
    assert ours <= said.counted <= 2 * ours


def test_every_program_of_the_table_has_a_twin_for_the_main_peers() -> None:
    """SPIN, GenMC, Nidhugg and Rumur are compared on all of them."""
    for peer in PEERS:
        lacking = {b.model for b in TABLE.values() if not peer.has(b)}
        if peer.name in ("SPIN", "GenMC", "Nidhugg", "Rumur"):
            assert not lacking
        else:
            assert lacking <= {"indexer", "filesystem", "uffd"}


def test_no_twin_is_left_over() -> None:
    """Each is of a program of the table."""
    models = {bench.model for bench in PROGRAMS.values()}
    for folder in ("promela", "murphi", "c", "tla"):
        assert {path.stem for path in (BENCH / folder).iterdir()} <= models
