"""What the model says of the situations that are observed: of each one thing, where it can."""

from __future__ import annotations

import pytest

from refault.litmus import Litmus
from refault.litmus.model import Refused, allowed
from refault.litmus.program import SPINS, said
from refault.scenarios import Scenario, all_scenarios, find, live_refused

REFUSED = {s.id for s in live_refused.FAMILY.values()}
"""Those whose page faults are up to the CPU: ``test_signals_modelled.py`` looks at each."""

SITUATIONS = [
    s for s in all_scenarios() if s.live is not None and not s.live.races and s.id not in REFUSED
]

SEVERAL = {
    "live-two-on-one-page": {"load": "one COPY wakes a load and a store, which then race"},
    "live-nanosleep-usr1": {"result": "the signal comes before the sleep is over, or after it"},
    "live-nanosleep-usr1-restart": {
        "result": "the same; a sleep that a handler ended is never restarted"
    },
}
"""What may differ, by label, though all moves of a situation are in order."""

LOOKS = ("read", "status")
"""Steps that see chance where a thread spins: it is on the queue, or on its way there."""


@pytest.mark.parametrize("scenario", SITUATIONS, ids=lambda s: s.id)
def test_a_situation_has_one_outcome(scenario: Scenario) -> None:
    program = scenario.live
    assert program is not None
    outcomes = [dict(outcome) for outcome in allowed(program).outcomes]
    differ = {label for label in program.labels if len({o[label] for o in outcomes}) > 1}
    if any(SPINS in found.values() for found in outcomes):
        differ -= {step.label for step in program.steps if step.do in LOOKS}
    assert differ == set(SEVERAL.get(scenario.id, {}))


def outcome(name: str, variant: str) -> dict[str, str]:
    program = find(name).live
    assert program is not None
    (only,) = allowed(program, variant).outcomes
    return dict(only)


@pytest.mark.parametrize(
    ("version", "features"), [("5.10", "0x1ff"), ("6.1", "0x1fff"), ("6.12", "0x1ffff")]
)
def test_each_version_offers_what_it_has(version: str, features: str) -> None:
    assert outcome("live-handshake", version)["handshake"] == features


@pytest.mark.parametrize("version", ["5.10", "6.1", "6.12.20", "6.12.117", "6.18"])
def test_only_newer_kernels_say_in_the_struct_that_it_was_too_early(version: str) -> None:
    newer = version in ("6.12.117", "6.18")
    found = outcome("live-fork", version)
    assert found["copy_early"] == found["zeropage_early"] == ("-EAGAIN" if newer else "0")


def test_an_older_kernel_does_not_know_the_ioctl() -> None:
    assert outcome("live-poison", "6.1")["poison"] == "-EINVAL"
    assert outcome("live-move", "6.1")["move"] == "-EINVAL"
    assert outcome("live-move", "6.8")["move"] == "4096"
    assert "move" not in outcome("live-register-anon", "6.1")["registered"]


def test_poison_is_told_by_kernels_that_know_of_memory_failures() -> None:
    assert outcome("live-poison", "6.12")["load"] == "SIGBUS BUS_MCEERR_AR"
    assert outcome("live-poison", "6.12, without memory_failure")["load"] == "SIGBUS BUS_ADRERR"


@pytest.mark.parametrize(
    ("name", "version", "feature"),
    [
        ("live-wp-async", "6.1", "WP_ASYNC"),
        ("live-wp-unpopulated", "6.1", "WP_UNPOPULATED"),
        ("live-minor", "5.10", "MINOR_SHMEM"),
        ("live-wp-shmem", "5.10", "WP_HUGETLBFS_SHMEM"),
        ("live-wp", "5.4", "PAGEFAULT_FLAG_WP"),
    ],
)
def test_a_version_without_the_feature_cannot_begin(name: str, version: str, feature: str) -> None:
    program = find(name).live
    assert program is not None
    with pytest.raises(Refused, match=f"no UFFD_FEATURE_{feature}"):
        allowed(program, version)


def test_a_child_is_there_when_it_has_been_forked() -> None:
    t = Litmus()
    p, program, child = t.memory(modes=""), t.thread("program"), t.child()
    child.load(p, label="before")
    t.monitor.status(child)
    program.store(p)
    program.fork(child)
    program.store(p, 8)
    child.load(p)
    t.monitor.status(child)
    (only,) = allowed(t.program).outcomes
    assert said(only) == (
        "before=missed status=unborn store=stored fork=forked store2=stored load=7 status2=idle"
    )
