"""Both sides of one program: what the model allows, what the kernel did."""

from __future__ import annotations

import random
from typing import NamedTuple

from refault.explore import ModelError, Violation
from refault.linux.modelled import NotModelled
from refault.litmus.model.allowed import allowed
from refault.litmus.model.once import Once, Unfit
from refault.litmus.model.room import Room
from refault.litmus.program import MISSED, Outcome, Program

from .. import facts
from ..play.observe import Performance
from ..play.stage import Stage
from ..puppet import TimedOut
from .generate import END, THREADS, all_steps

SPACE = Room(frames=64, spares=12)
"""What the model sets aside for programs of one kind; more than most need."""
SPIN = 0.1


class Compared(NamedTuple):
    """What came of a program.

    ``verdict`` is ``agree``, ``differ`` or ``discarded`` (the model does not have it; ``why`` says
    what). ``searched`` tells that one run of the model was not enough.
    """

    verdict: str
    seen: Outcome = ()
    expected: frozenset[Outcome] = frozenset()
    why: str = ""
    searched: bool = False

    @property
    def operations(self) -> int:
        """Steps that were done, and not missed; looks at the end do not count."""
        return sum(value != MISSED for label, value in self.seen if not label.startswith(END))


class Bench:
    """Keeps the model's cells and the kernel's stages, one each for programs of one kind."""

    def __init__(self, variant: str | None = None) -> None:
        self.variant = facts.variant(facts.gather()) if variant is None else variant
        self._once: dict[Program, Once] = {}
        self._stages: dict[Program, Stage] = {}

    def __enter__(self) -> Bench:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End all puppets."""
        for stage in self._stages.values():
            stage.close()
        self._stages.clear()

    def compare(self, program: Program) -> Compared:
        """Play and perform a program once, and search all orders where the outcomes differ."""
        try:
            expected = self._model(program)
        except NotModelled as error:
            return Compared("discarded", why=error.path)
        except Unfit as error:
            return Compared("discarded", why=error.message)
        except Violation as broken:
            expected = frozenset()
            why = f"the model breaks a property: {broken.message}"
            return Compared("differ", self.observe(program), expected, why)
        seen = self.observe(program)
        if seen in expected:
            return Compared("agree", seen, expected)
        try:
            expected = allowed(program, self.variant).outcomes
        except ModelError as error:
            return Compared("discarded", seen, expected, error.message, searched=True)
        verdict = "agree" if seen in expected else "differ"
        return Compared(verdict, seen, expected, searched=True)

    def differs(self, program: Program, times: int = 2) -> bool:
        """Whether the kernel does what the model does not allow, each time."""
        return all(self.compare(program).verdict == "differ" for _ in range(times))

    def _model(self, program: Program) -> frozenset[Outcome]:
        kind = program._replace(moves=())
        once = self._once.get(kind)
        if once is None:
            once = self._once[kind] = Once(all_steps(kind), self.variant, space=SPACE)
        return frozenset({once.run(program)})

    def observe(self, program: Program) -> Outcome:
        """Perform a program on the running kernel once.

        A machine that has much else to do may not get to it in time: then it is done once more, by
        new processes.
        """
        try:
            return self._perform(program)
        except TimedOut:
            return self._perform(program)

    def _perform(self, program: Program) -> Outcome:
        kind = program._replace(moves=())
        stage = self._stages.pop(kind, None)
        if stage is not None and (stage.spoilt or not stage.rescue()):
            stage.close()
            stage = None
        kept = stage is not None
        stage = self._stages[kind] = stage or Stage(program)
        try:
            if kept:
                stage.renew(program)
            performance = Performance(stage, random.Random(1), SPIN)
            seen = performance.run()
        except BaseException:
            stage.spoilt = True
            raise
        if performance.busy and not performance.dead and kind.threads == THREADS:
            stage.spoilt = not stage.rescue()
        return seen
