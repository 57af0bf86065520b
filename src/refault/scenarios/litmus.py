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
        return told(
            tell,
            id=id or tell.__name__.replace("_", "-"),
            doc=inspect.getdoc(tell) or "",
            source=source,
            expect=expect,
            claims=claims,
        )

    return make


def told(
    tell: Telling,
    *,
    id: str,
    doc: str,
    source: str,
    expect: Mapping[str, Expected] | None = None,
    claims: Iterable[str] = (),
) -> Scenario:
    """Make a scenario of anything that tells a ``Litmus``; ``doc`` says what is shown."""
    litmus = Litmus()
    tell(litmus)
    program = litmus.program

    def story(kernel: Kernel) -> None:
        play(program, kernel)

    story.__doc__ = doc
    code = inspect.unwrap(getattr(tell, "func", tell)).__code__
    return Scenario(
        id=id,
        story=story,
        source=source,
        claims=tuple(claims),
        expect=dict(expect or {"": "holds"}),
        file=code.co_filename,
        line=code.co_firstlineno,
        live=program,
    )
