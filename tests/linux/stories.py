"""Short ways to check a story, with the base kernel or with functions of it replaced."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from refault.explore import Program, Verdict, check
from refault.linux import Kernel

Story = Callable[[Kernel], object]


def run(story: Story, patched: Mapping[str, Callable[..., Any]] | None = None) -> Verdict:
    """Explore a story to the end."""

    def build(program: Program) -> None:
        story(Kernel(program, patched))

    return check(build, time=60)


def found(story: Story, patched: Mapping[str, Callable[..., Any]] | None = None) -> str:
    """Explore a story and say what was found, in a word."""
    return str(run(story, patched))


def told(story: Story) -> str:
    """Return the diagnosis of what a story comes to."""
    finding = run(story).findings[0][0]
    return "\n".join([finding.kind, finding.message, *finding.detail])


def does_nothing(*_args: object) -> None:
    """Stand in for a kernel function that is left out."""
