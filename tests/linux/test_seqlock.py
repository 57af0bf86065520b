"""Sequence counters against the real thing: a number that grows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from refault.explore import BLOCKED
from refault.linux.include.linux.seqlock import SeqState, _read_begin, _read_retry

READERS = ("ann", "bob")


@given(st.lists(st.sampled_from(["write begins", "write ends", *READERS])))
def test_a_reader_retries_iff_a_write_began_since_it_started(events: list[str]) -> None:
    """Each reader starts, then asks, then starts again; a number counts as the kernel's does."""
    seq, number = SeqState(), 0
    snapshot: dict[str, int] = {}
    for event in events:
        if event == "write begins":
            if not seq.writing:
                seq, number = SeqState(True), number + 1
        elif event == "write ends":
            if seq.writing:
                seq, number = SeqState(False), number + 1
        elif event in snapshot:
            seq, retry = _read_retry(seq, event)
            assert retry == (snapshot.pop(event) != number)
        elif seq.writing:
            assert _read_begin(seq, event) is BLOCKED
        else:
            answer = _read_begin(seq, event)
            assert answer is not BLOCKED
            seq, snapshot[event] = answer[0], number
