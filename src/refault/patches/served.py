"""Whom one ``generic_page_fault()`` can serve: its cases compared with each architecture's own.

For each architecture the helper is tried with every set of parameters that it offers; the one that
changes the least is taken, and among equals the one that asks for the least. What then still
changes is a bug that goes away, or an ABI that does.
"""

from __future__ import annotations

import functools
from itertools import product
from typing import NamedTuple

from refault.linux.arch.cells import REACHABLE, Bench, Case, Event, Result, cases
from refault.linux.arch.parameters import Do
from refault.linux.include.uapi.siginfo import SiCode
from refault.patches.generic_page_fault import Served, key, served_by

OFFERED = tuple(
    Served(segv, kernel_sigbus, poison)
    for segv, kernel_sigbus, poison in product(
        (SiCode.SEGV_MAPERR, SiCode.SEGV_ACCERR), (False, True), (Do.SIGBUS, Do.SIGSEGV)
    )
)
"""The parameters that the helper offers, in all combinations, those that ask for less first."""


class Difference(NamedTuple):
    """A case in which the helper does something else than the architecture's own entry."""

    case: Case
    own: Result
    generic: Result


class Service(NamedTuple):
    """How an architecture is served: by which parameters, and what changes even so."""

    arch: str
    served: Served
    differences: tuple[Difference, ...]
    cases: int


def differences(
    arch: str, served: Served, events: tuple[Event, ...] = REACHABLE
) -> tuple[Difference, ...]:
    """Return the cases in which an entry that uses the helper differs from the one of the base."""
    own, generic = Bench(arch), Bench(arch, {key(arch): served_by(arch, served)})
    pairs = ((case, own.run(case), generic.run(case)) for case in cases(arch, events))
    return tuple(Difference(*pair) for pair in pairs if _seen(pair[1]) != _seen(pair[2]))


def _seen(result: Result) -> tuple[object, ...]:
    """What of a result anybody can tell: not how often the handler was asked."""
    return result.end, result.effects, result.held


@functools.cache
def service(arch: str) -> Service:
    """Find the parameters with which the helper serves an architecture best."""
    tried = {served: differences(arch, served) for served in OFFERED}
    best = min(tried, key=lambda served: (len(tried[served]), len(served.asks)))
    return Service(arch, best, tried[best], len(cases(arch)))
