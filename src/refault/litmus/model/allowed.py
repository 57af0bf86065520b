"""The outcomes that the model allows: those of all interleavings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from refault.explore import ModelError, check
from refault.explore import Program as Model
from refault.linux import Kernel
from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.litmus.program import Outcome, Program
from refault.patches import resolve

from .board import BUSY
from .play import play
from .world import World

CPUS = {
    "FSRM": X86Feature.FSRM | X86Feature.ERMS,
    "ERMS": X86Feature.ERMS,
    "neither": X86Feature.NONE,
}
"""Kinds of x86 CPUs that copy in different ways, the base first."""


class Allowed(NamedTuple):
    """Every outcome that a variant of the kernel allows, and what the search took.

    ``states`` are those stored, ``seconds`` the time it took.
    """

    outcomes: frozenset[Outcome]
    states: int
    seconds: float


def allowed(
    program: Program,
    variant: str = "",
    *,
    cpus: tuple[X86Feature, ...] = tuple(CPUS.values()),
    **limits: Any,
) -> Allowed:
    """Explore a program on the model; ``limits`` as for ``refault.explore.check``.

    A program that counts page faults is explored for each of the CPUs ``cpus``, by default for all
    kinds that copy in different ways. Raises ``Refused`` where that version cannot even begin,
    ``ModelError`` where the search was not complete, or somebody waits in a way that the order of
    the moves cannot see.
    """
    counts = any(step.do == "faults" for step in program.steps)
    found = [_allowed(program, variant, cpu, limits) for cpu in (cpus if counts else cpus[:1])]
    outcomes = frozenset().union(*(one.outcomes for one in found))
    return Allowed(outcomes, sum(one.states for one in found), sum(one.seconds for one in found))


def _allowed(program: Program, variant: str, cpu: X86Feature, limits: Mapping[str, Any]) -> Allowed:
    patches = resolve(variant)
    worlds: list[World] = []

    def build(model: Model) -> None:
        kernel = Kernel(model, patches, arch=patches.arch)
        kernel.cpu_features = cpu
        worlds.append(play(program, kernel))

    verdict = check(
        build, keep_terminals=True, liveness=False, explain=False, engine="states", **limits
    )
    if verdict.kind != "holds" or verdict.terminals is None:
        raise ModelError(
            f"the outcomes are not known: {verdict.reason or verdict}",
            "raise the limits, or take a step away",
        )
    outcomes = {_outcome(worlds[0], terminal) for terminal in verdict.terminals}
    if not outcomes:
        raise ModelError(
            "the outcomes are not known: somebody spins, and no run ends",
            "let the monitor resolve at the end what he spins for",
        )
    return Allowed(frozenset(outcomes), verdict.evidence.states, verdict.evidence.seconds)


def _outcome(world: World, terminal: Any) -> Outcome:
    cells = dict(terminal[0])
    state = cells[world.board.cell.name]
    if not world.board.ended(state):
        busy = ", ".join(f"{t} {s}" for t, s in state.threads if s in BUSY)
        raise ModelError(
            f"move {state.move} is never over: {busy}",
            "the order of moves sees sleeps in schedule(), not for locks: tell it in another way",
        )
    return world.outcome(cells)
