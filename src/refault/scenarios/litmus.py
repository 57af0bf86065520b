"""Scenarios that are litmus tests: the model plays them, and a real kernel performs them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping

from refault.linux import Kernel
from refault.litmus import Litmus
from refault.litmus.model import play

from .api import Expected, Scenario

Telling = Callable[[Litmus], object]


def litmus(
    *,
    source: str,
    expect: Mapping[str, Expected] | None = None,
    claims: Iterable[str] = (),
    id: str | None = None,
) -> Callable[[Telling], Scenario]:
    """Make a scenario of a function that tells a ``Litmus``; its docstring says what is shown.

    Its verdict says only that the model can play it; what counts are its outcomes, which
    ``refault live`` compares with those of a real kernel.
    """

    def make(tell: Telling) -> Scenario:
        told = Litmus()
        tell(told)
        program = told.program

        def story(kernel: Kernel) -> None:
            play(program, kernel)

        story.__doc__ = inspect.getdoc(tell)
        return Scenario(
            id=id or tell.__name__.replace("_", "-"),
            story=story,
            source=source,
            claims=tuple(claims),
            expect=dict(expect or {"": "holds"}),
            file=tell.__code__.co_filename,
            line=tell.__code__.co_firstlineno,
            live=program,
        )

    return make
