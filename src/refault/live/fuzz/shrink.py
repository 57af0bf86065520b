"""The shortest program that still differs: steps are left out as long as it does."""

from __future__ import annotations

from collections.abc import Callable

from refault.litmus.program import Program, Step

from .generate import END, finished


def shrink(program: Program, differs: Callable[[Program], bool]) -> Program:
    """Leave out steps of a program, then make their ranges small, while ``differs`` says so."""
    steps = [step for step in program.steps if not step.label.startswith(END)]

    def still(candidate: list[Step]) -> bool:
        return differs(finished(candidate, program))

    size = max(1, len(steps) // 2)
    while True:
        steps, shorter = _without(steps, size, still)
        if size > 1:
            size //= 2
        elif not shorter:
            break
    steps = _narrow(steps, still)
    return finished(steps, program)


def _without(
    steps: list[Step], size: int, still: Callable[[list[Step]], bool]
) -> tuple[list[Step], bool]:
    """Leave out pieces of a size, the last ones first."""
    shorter = False
    for at in reversed(range(0, len(steps), size)):
        candidate = [*steps[:at], *steps[at + size :]]
        if candidate and still(candidate):
            steps, shorter = candidate, True
    return steps, shorter


def _narrow(steps: list[Step], still: Callable[[list[Step]], bool]) -> list[Step]:
    """Make ranges one page long where that is all it takes."""
    for index, step in enumerate(steps):
        if step.args.get("pages", 1) > 1:
            changed = step._replace(args={**step.args, "pages": 1})
            candidate = [*steps[:index], changed, *steps[index + 1 :]]
            if still(candidate):
                steps = candidate
    return steps
