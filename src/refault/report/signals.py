"""What the model says of signals to a thread that waits for a page, in a table."""

from __future__ import annotations

import functools
from collections.abc import Mapping

from refault.litmus.model import allowed
from refault.litmus.program import DEAD, IDLE, SPINS
from refault.scenarios.live_signals import FAMILY, ORIGINS

VERSIONS = {"6.1": "6.1", "6.12": "6.12", "6.18": ""}
"""Versions that are told apart, with the variants of the model that they are."""

HEAD = ("who", "waits", "result", "SIGUSR1, handled", "SIGSTOP", "SIGTERM", "SIGKILL")


@functools.cache
def values(origin: str, signal: str, variant: str) -> Mapping[str, tuple[str, ...]]:
    """All values that a step may have, by its label."""
    program = FAMILY[origin, signal].live
    assert program is not None
    outcomes = [dict(outcome) for outcome in allowed(program, variant).outcomes]
    return {k: tuple(sorted({o[k] for o in outcomes})) for k in program.labels}


def _only(found: Mapping[str, tuple[str, ...]], label: str) -> str:
    """The value of a step, or its values."""
    return " or ".join(found[label])


def _values(found: Mapping[str, tuple[str, ...]], label: str) -> str:
    """The same as what a program sees."""
    return " or ".join(f"`{value}`" for value in found[label])


def waits(origin: str, variant: str) -> str:
    """How it waits: asleep so that any signal ends it (S) or only a fatal one (D); or not."""
    before = _only(values(origin, "alone", variant), "before")
    return {IDLE: "no"}.get(before, before.split()[0])


def result(origin: str, variant: str) -> str:
    """What it comes to, if there is no signal."""
    return _values(values(origin, "alone", variant), "result")


def handled(origin: str, variant: str) -> str:
    """What a signal with a handler makes of it, whether or not it restarts system calls."""
    if waits(origin, variant) == "no":
        return "-"
    says = [_handled(origin, signal, variant) for signal in ("usr1", "usr1-restart")]
    return says[0] if says[0] == says[1] else f"{says[0]}; with SA_RESTART {says[1]}"


def _handled(origin: str, signal: str, variant: str) -> str:
    found = values(origin, signal, variant)
    after, ended = _only(found, "after"), _values(found, "result")
    early = _only(found, "handled") == "1"
    unlike = ended != result(origin, variant)
    if after == IDLE:
        return f"{ended} at once"
    if early:
        return "handler at once, and a new message"
    told = "spins until the page comes" if after == SPINS else "waits until the page comes"
    return f"{told}, then {f'{ended} and ' * unlike}handler"


def stopped(origin: str, variant: str) -> str:
    """What SIGSTOP makes of it."""
    if waits(origin, variant) == "no":
        return "-"
    after = _only(values(origin, "stop", variant), "after")
    if after.startswith("T"):
        return "stops at once"
    told = "spins" if after == SPINS else "waits"
    return f"{told} until the page comes, then stops"


def fatal(origin: str, signal: str, variant: str) -> str:
    """What a signal that kills makes of it."""
    if waits(origin, variant) == "no":
        return "-"
    after = _only(values(origin, signal, variant), "after")
    return "dies" if after == DEAD else after


def row(origin: str, variant: str) -> tuple[str, ...]:
    """What the model says of one way to reach for a page."""
    return (
        ORIGINS[origin].title,
        waits(origin, variant),
        result(origin, variant),
        handled(origin, variant),
        stopped(origin, variant),
        fatal(origin, "term", variant),
        fatal(origin, "kill", variant),
    )


def rows() -> list[tuple[str, ...]]:
    """The table: a row for each origin, and for each group of versions that it is the same for."""
    found = []
    for origin in ORIGINS:
        by_version = {version: row(origin, variant) for version, variant in VERSIONS.items()}
        for cells in dict.fromkeys(by_version.values()):
            same = [version for version, its in by_version.items() if its == cells]
            where = "" if len(same) == len(VERSIONS) else f", {' and '.join(same)}"
            found.append((cells[0] + where, *cells[1:]))
    return found
