"""What a scenario is: a story told as a function, a claim, and the verdicts expected of it."""

from __future__ import annotations

import inspect
import traceback
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType
from typing import TYPE_CHECKING, Any

from refault.explore import Finding, Program, Trace, UserError, Verdict, check
from refault.explore import replay as replay_schedule
from refault.linux import Kernel
from refault.patches import canonical, elsewhere, resolve

if TYPE_CHECKING:
    from refault.explore.mutate import Mutants
    from refault.litmus import Program as Litmus

Story = Callable[[Kernel], object]
Expected = str | tuple[str, ...]


@dataclass(frozen=True)
class Scenario:
    """A story about the kernel that the explorer can judge.

    ``expect`` maps a variant ("" is the base kernel, else ``with NAME`` and ``without NAME`` of
    patches, separated by commas) to the expected verdict: ``holds``, or the kind of what is found,
    or a tuple of kinds. ``claims`` are numbers in the catalogue of claims made in the mail threads.
    ``live`` is a litmus test of the same, for real kernels.
    """

    id: str
    story: Story
    source: str
    claims: tuple[str, ...]
    expect: Mapping[str, Expected]
    file: str
    line: int
    live: Litmus | None = None

    @property
    def doc(self) -> str:
        """The claim that the story tells, as prose."""
        return inspect.getdoc(self.story) or ""

    @property
    def title(self) -> str:
        """The first line of the claim."""
        return self.doc.split("\n", 1)[0]

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants for which a verdict is expected."""
        return tuple(self.expect)

    def expected(self, variant: str = "") -> str:
        """The expected verdict as text.

        Where the scenario states none it is ``holds``, or empty for another version of Linux or
        another architecture: what happens there is what one asks.
        """
        stated = {canonical(v): e for v, e in self.expect.items()}
        want = stated.get(canonical(variant), "" if elsewhere(variant) else "holds")
        return want if isinstance(want, str) else " + ".join(sorted(want))

    def as_expected(self, verdict: Verdict, variant: str = "") -> bool:
        """Whether exactly the expected kinds were found, or nothing where it should hold."""
        if verdict.kind == "inconclusive":
            return False
        found = " + ".join(sorted(verdict.kinds)) or verdict.kind
        return found == (self.expected(variant) or "holds")

    def build(
        self, variant: str = "", made: Callable[[Kernel], object] | None = None
    ) -> Callable[[Program], None]:
        """The function that builds the story's program for a variant.

        ``made`` is given each kernel that it makes: a search makes several, of one kind.
        """
        patches = resolve(variant)

        def build(program: Program) -> None:
            kernel = Kernel(program, patches, arch=patches.arch)
            if made is not None:
                made(kernel)
            try:
                self.story(kernel)
            except SystemExit as error:
                raise UserError(
                    f"{self._place(error)}: the story ends the program", "let it return"
                ) from error
            except UserError as error:
                locate(error, self._place(error))
                raise

        return build

    def _place(self, error: BaseException) -> str:
        """The line of the story that led to an error."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == self.file]
        return f"{shown(self.file)}:{lines[-1] if lines else self.line}"

    def check(
        self, variant: str = "", *, made: Callable[[Kernel], object] | None = None, **limits: Any
    ) -> Verdict:
        """Explore every interleaving; ``limits`` as for ``refault.explore.check``."""
        about = f"{self.id}{f' [{variant}]' if variant else ''}"
        verdict = check(self.build(variant, made), about=about, **limits)
        verdict.about = about
        return verdict

    def mutants(self, variant: str = "", **limits: Any) -> Mutants:
        """The story with one synchronisation less at a time; ``limits`` as for ``Mutants``."""
        from refault.explore.mutate import Mutants  # noqa: PLC0415  # 20 ms that few need

        return Mutants(self.build(variant), **limits)

    def replay(
        self,
        variant: str,
        schedule: Iterable[tuple[str, int]],
        *,
        cycle: int = -1,
        finding: Finding | None = None,
        expect: str | None = None,
    ) -> Trace:
        """Run one schedule; see ``refault.explore.replay``."""
        return replay_schedule(
            self.build(variant), schedule, cycle=cycle, finding=finding, expect=expect
        )


def scenario(
    *,
    source: str,
    expect: Mapping[str, Expected] | None = None,
    claims: Iterable[str] = (),
    id: str | None = None,
    live: Litmus | None = None,
) -> Callable[[Story], Scenario]:
    """Make a scenario of a function that takes a ``Kernel``; its docstring is the claim."""

    def make(story: Story) -> Scenario:
        return from_function(
            story,
            id=id,
            source=source,
            claims=tuple(claims),
            expect=expect or {"": "holds"},
            live=live,
        )

    return make


def from_function(
    story: Story,
    *,
    id: str | None = None,
    source: str = "",
    claims: tuple[str, ...] = (),
    expect: Mapping[str, Expected] | None = None,
    live: Litmus | None = None,
) -> Scenario:
    """The scenario told by ``story``; a clear error if it cannot take a kernel."""
    if not isinstance(story, FunctionType):
        raise UserError(
            f"{story!r} is no scenario: it is not a function", "define it as: def my_story(k): …"
        )
    code, name = story.__code__, story.__name__
    place = f"{shown(code.co_filename)}:{code.co_firstlineno}"
    required = [
        p
        for p in inspect.signature(story).parameters.values()
        if p.default is p.empty and p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
    ]
    if inspect.isgeneratorfunction(story) or inspect.iscoroutinefunction(story):
        raise UserError(
            f"{place}: scenario {name} is a generator or a "
            "coroutine: calling it would tell no story",
            f"define it as: def {name}(k): …, without yield or await",
        )
    if len(required) != 1 or required[0].kind is inspect.Parameter.KEYWORD_ONLY:
        raise UserError(
            f"{place}: scenario {name} must take one "
            f"argument, the kernel; it takes {len(required)}",
            f"define it as: def {name}(k): …",
        )
    return Scenario(
        id=id or name.replace("_", "-"),
        story=story,
        source=source,
        claims=claims,
        expect=dict(expect or {"": "holds"}),
        file=code.co_filename,
        line=code.co_firstlineno,
        live=live,
    )


def locate(error: UserError, place: str) -> None:
    """Put a place before the message of an error."""
    error.message = f"{place}: {error.message}"
    error.args = (error.message,)


def shown(file: str) -> str:
    """A file as people write it: relative to here if it is below."""
    with suppress(OSError):
        if Path(file).is_relative_to(Path.cwd()):
            return str(Path(file).relative_to(Path.cwd()))
    return file
