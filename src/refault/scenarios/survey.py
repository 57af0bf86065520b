"""One scenario under many variants: which verdict each gives, and what makes the difference.

Most versions of Linux differ in functions that a scenario never calls. A search notes which
functions it looked up; another variant that has the same ones in their places would do the same
steps, so it has the same verdict, and nothing is searched again.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from refault.explore.engines.exploration import STATES
from refault.explore.errors import UserError
from refault.linux import Kernel, NotModelled
from refault.patches import Patch, PatchSet, all_patches, find, parse, releases, resolve

from .api import Scenario


class Cell(NamedTuple):
    """A verdict: ``holds``, ``vacuous``, ``inconclusive``, ``not modelled`` or kinds of findings.

    ``reason`` says more of what is not conclusive, or not modelled.
    """

    verdict: str
    reason: str = ""


class Change(NamedTuple):
    """Two versions, one behind the other, with different verdicts.

    ``patches`` are the fewest without which the newer one has the verdict of the older; none, if
    only all that came between do.
    """

    older: str
    newer: str
    before: Cell
    after: Cell
    patches: tuple[Patch, ...]


class _Seen(NamedTuple):
    """What a search has shown: it looked ``asked`` up, None if that is not known."""

    patches: PatchSet
    asked: frozenset[str] | None
    cell: Cell

    def answers(self, patches: PatchSet) -> bool:
        """Whether a search with these patches would do the same."""
        if patches.arch != self.patches.arch:
            return False
        names = self.patches.keys() | patches.keys() if self.asked is None else self.asked
        return all(self.patches.get(name) is patches.get(name) for name in names)


class Survey:
    """The verdicts of a scenario, each found once; ``limits`` as for ``refault.explore.check``.

    ``searches`` counts how many had to be found.
    """

    def __init__(self, scenario: Scenario, **limits: Any) -> None:
        self.scenario = scenario
        self.searches = 0
        self._limits = limits
        self._seen: list[_Seen] = []

    def cell(self, variant: str = "") -> Cell:
        """Return the verdict of a variant."""
        patches = resolve(variant)
        for seen in self._seen:
            if seen.answers(patches):
                return seen.cell
        kernels: list[Kernel] = []
        cell, here = self._search(variant, kernels.append)
        asked = frozenset(name for kernel in kernels for name in kernel.asked) if here else None
        self._seen.append(_Seen(patches, asked, cell))
        return cell

    def _search(self, variant: str, made: Callable[[Kernel], object]) -> tuple[Cell, bool]:
        """Return the verdict, and whether all that was searched was searched here."""
        self.searches += 1
        try:
            verdict = self.scenario.check(variant, made=made, **self._limits)
        except NotModelled as error:
            return Cell("not modelled", error.message), True
        here = verdict.evidence.engine == STATES
        return Cell(str(verdict), verdict.reason), here

    def changes(self, versions: Sequence[str], also: Mapping[str, bool]) -> Iterator[Change]:
        """Yield where the verdict changes from one of ``versions`` to the next."""
        for older, newer in itertools.pairwise(versions):
            before, after = self.cell(at(older, also)), self.cell(at(newer, also))
            if before.verdict != after.verdict:
                culprits = self._culprits(older, newer, also, before)
                yield Change(older, newer, before, after, culprits)

    def _culprits(
        self, older: str, newer: str, also: Mapping[str, bool], before: Cell
    ) -> tuple[Patch, ...]:
        """The fewest patches between two versions that the change needs, one by one dropped."""
        between = [
            p
            for p in all_patches().values()
            if parse(older).has(p) != parse(newer).has(p) and p.name not in also
        ]

        def undone(patches: Sequence[Patch]) -> bool:
            variant = at(newer, {**also, **{p.name: parse(older).has(p) for p in patches}})
            try:
                return self.cell(variant).verdict == before.verdict
            except UserError:  # two of them cannot be taken apart
                return False

        for patch in between:
            if undone([patch]):
                return (patch,)
        if not undone(between):
            return ()
        for patch in list(between):
            rest = [p for p in between if p is not patch]
            if undone(rest):
                between = rest
        return tuple(between)


def at(version: str, also: Mapping[str, bool]) -> str:
    """The variant of a version with patches and without others, whether it has them or not."""
    parts = [version]
    for name, present in also.items():
        patch = find(name)
        if parse(version).has(patch) != present:
            parts.append(f"{'with' if present else 'without'} {patch.name}")
    return ", ".join(parts)


LONG_TERM = ("4.19", "5.4", "5.10", "5.15", "6.1", "6.6", "6.12", "6.18")
"""The releases that are maintained for long, up to the base."""


def columns(text: str | None) -> tuple[str, ...]:
    """The versions that people name: a list with commas, ``A..B``, ``all``; else the usual ones."""
    if text is None:
        return (*LONG_TERM, releases()[-1])
    found: list[str] = []
    for part in filter(None, (p.strip() for p in text.split(","))):
        first, dots, last = part.partition("..")
        if part == "all" or dots:
            found += _range(first if dots else "", last)
        else:
            found.append(str(parse(part)))
    if not found:
        raise UserError("no version is named", "write 5.10,6.1, or 5.4..6.1, or all")
    return tuple(dict.fromkeys(found))


def _range(first: str, last: str) -> tuple[str, ...]:
    every = releases()
    start = every.index(parse(first).release) if first else 0
    end = every.index(parse(last).release) if last else len(every) - 1
    if start > end:
        raise UserError(f"{first} is after {last}", f"write {last}..{first}")
    return every[start : end + 1]
