"""The SPIN twins of the bench take the same steps as our programs: they count the same states."""

from __future__ import annotations

from pathlib import Path

import pytest
from bench import spin
from bench.programs import PROGRAMS

from refault.explore import check

QUICK = [name for name, bench in PROGRAMS.items() if bench.quick]


@pytest.mark.skipif(not spin.available(), reason="needs spin and gcc")
@pytest.mark.parametrize("name", QUICK)
def test_spin_counts_the_same_states(name: str, tmp_path: Path) -> None:
    """Two checkers, two models, one number; SPIN counts the initial state as a transition."""
    bench = PROGRAMS[name]
    theirs = spin.verify(spin.build(bench, tmp_path, reduce=False), bench, timeout=60)
    ours = check(bench.build(), reduce=False)
    assert theirs.complete
    assert theirs.states == ours.evidence.states
    assert theirs.transitions == ours.evidence.transitions + 1
    assert (theirs.errors > 0) == (ours.kind == "violated")
