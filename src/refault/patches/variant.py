"""The text of a variant, and the functions that it puts in place of the base's."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from refault.explore.errors import UserError
from refault.patches.patch import Patch
from refault.patches.registry import find

BASE = "6.18"


class PatchSet(Mapping[str, Callable[..., Any]]):
    """The patches of a variant, as a mapping from kernel functions to what replaces them."""

    def __init__(self, patches: tuple[Patch, ...]) -> None:
        self.patches = patches
        self._replaces: dict[str, Callable[..., Any]] = {}
        owner: dict[str, Patch] = {}
        for patch in patches:
            for name, function in patch.replaces.items():
                if name in owner:
                    raise UserError(
                        f"{owner[name].variant} and {patch.variant} both replace {name}()",
                        "a variant can have only one of them",
                    )
                owner[name] = patch
                self._replaces[name] = function

    @property
    def variant(self) -> str:
        """The variant's text in its canonical form; empty for the base."""
        return ", ".join(patch.variant for patch in self.patches)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._replaces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._replaces)

    def __len__(self) -> int:
        return len(self._replaces)


def resolve(variant: str = "") -> PatchSet:
    """Return the patches that a variant names; the order in which it names them is no matter."""
    named = {patch.name: patch for patch in map(_patch, _parts(variant))}
    return PatchSet(tuple(sorted(named.values(), key=lambda p: (not p.in_base, p.name))))


def canonical(variant: str) -> str:
    """Return the one way to write a variant: reverts first, then by name; empty for the base."""
    return resolve(variant).variant


def _parts(variant: str) -> list[str]:
    parts = [part.strip() for part in variant.split(",")]
    return [part for part in parts if part not in ("", BASE)]


def _patch(part: str) -> Patch:
    word, _, name = part.partition(" ")
    if word not in ("with", "without") or not name.strip():
        raise UserError(
            f"{part!r} is not a variant",
            "write 'with NAME' or 'without NAME', separated by commas",
        )
    patch = find(name.strip())
    if word != patch.word:
        have = f"is in {BASE} already (since {patch.since})" if patch.in_base else "is not in 6.18"
        raise UserError(f"{patch.name} {have}", f"write '{patch.variant}'")
    return patch
