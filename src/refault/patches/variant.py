"""The text of a variant, and the functions that it puts in place of the base's."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, TypeVar

from refault.explore.errors import UserError
from refault.linux.arch import ARCHITECTURES
from refault.patches.patch import Patch
from refault.patches.registry import all_patches, find
from refault.patches.version import BASE, Version, is_version, parse

T = TypeVar("T")

HOME = "x86"
"""The architecture of a variant that names none."""


class _Named(NamedTuple):
    """What a variant says: a version, an architecture, and patches with or without."""

    version: Version
    arch: str
    patches: dict[str, bool]


class PatchSet(Mapping[str, Callable[..., Any]]):
    """The patches of a variant, as a mapping from kernel functions to what replaces them.

    ``patches`` are those in which it differs from the base, ``named`` those that it names beside
    its ``version``; ``arch`` is the architecture it runs on.
    """

    def __init__(
        self,
        patches: Iterable[Patch],
        *,
        named: Iterable[Patch] | None = None,
        version: Version | None = None,
        arch: str = HOME,
    ) -> None:
        self.patches = _sorted(patches)
        self.version = version or parse(BASE)
        self.arch = arch
        self._named = self.patches if named is None else _sorted(named)
        self._replaces = {
            name: owner.replaces[name] for name, owner in _owners(self.patches).items()
        }

    @property
    def variant(self) -> str:
        """The variant's text in its canonical form; empty for the base."""
        parts = [] if str(self.version) == BASE else [str(self.version)]
        parts += [] if self.arch == HOME else [f"on {self.arch}"]
        here = {patch.name for patch in self.patches}
        words = {p.name: p.in_base != (p.name in here) for p in self._named}
        parts += [f"without {name}" for name, has in words.items() if not has]
        parts += [f"with {name}" for name, has in words.items() if has]
        return ", ".join(parts)

    def __getitem__(self, name: str) -> Callable[..., Any]:
        return self._replaces[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._replaces)

    def __len__(self) -> int:
        return len(self._replaces)


def _sorted(patches: Iterable[Patch]) -> tuple[Patch, ...]:
    return tuple(sorted(patches, key=lambda p: (not p.in_base, p.name)))


def _owners(patches: Iterable[Patch]) -> dict[str, Patch]:
    """For each function the patch whose replacement runs; ``UserError`` where none is over all."""
    rivals: dict[str, list[Patch]] = {}
    for patch in patches:
        for function in patch.replaces:
            rivals.setdefault(function, []).append(patch)
    return {function: _topmost(function, found) for function, found in rivals.items()}


def _topmost(function: str, rivals: list[Patch]) -> Patch:
    for patch in rivals:
        if all(other is patch or other.name in patch.over for other in rivals):
            return patch
    one, other = next((a, b) for a in rivals for b in rivals if a is not b and not _ordered(a, b))
    raise UserError(
        f"{one.variant} and {other.variant} both replace {function}()",
        "a variant can have only one of them",
    )


def _ordered(a: Patch, b: Patch) -> bool:
    return a.name in b.over or b.name in a.over


def resolve(variant: str = "") -> PatchSet:
    """Return the patches that a variant names; the order in which it names them is no matter."""
    said = _read(variant)
    wanted = {p.name: said.version.has(p) for p in all_patches().values()} | said.patches
    return PatchSet(
        (find(name) for name, present in wanted.items() if present != find(name).in_base),
        named=map(find, said.patches),
        version=said.version,
        arch=said.arch,
    )


def canonical(variant: str) -> str:
    """Return the one way to write a variant: version, architecture, reverts, then the rest."""
    return resolve(variant).variant


def elsewhere(variant: str) -> bool:
    """Whether a variant names another version than the base, or another architecture."""
    said = _read(variant)
    return (str(said.version), said.arch) != (BASE, HOME)


def _read(variant: str) -> _Named:
    parts = [part.strip() for part in variant.split(",") if part.strip()]
    version = _only([parse(p) for p in parts if is_version(p)], "versions", parse(BASE))
    arch = _only([_arch(p) for p in parts if p.startswith("on ")], "architectures", HOME)
    changes = [p for p in parts if not is_version(p) and not p.startswith("on ")]
    return _Named(version, arch, dict(_change(part, version) for part in changes))


def _only(found: list[T], what: str, default: T) -> T:
    if len(set(found)) > 1:
        raise UserError(
            f"a variant of several {what}: {', '.join(map(str, found))}", "name one of them"
        )
    return found[0] if found else default


def _arch(part: str) -> str:
    name = part.removeprefix("on ").strip()
    if name in ARCHITECTURES:
        return name
    near = difflib.get_close_matches(name, ARCHITECTURES, n=3, cutoff=0.4)
    raise UserError(
        f"no architecture is called {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"there are {', '.join(ARCHITECTURES)}",
    )


def _change(part: str, version: Version) -> tuple[str, bool]:
    """Return the name of a patch and whether the variant has it."""
    word, _, name = part.partition(" ")
    if word not in ("with", "without") or not name.strip():
        raise UserError(
            f"{part!r} is not a variant",
            "write a version, 'on ARCH', 'with NAME' or 'without NAME', separated by commas",
        )
    patch = find(name.strip())
    has = version.has(patch)
    if has == (word == "with"):
        since = f" already{f' (since {patch.since})' if patch.since else ''}" if has else ""
        raise UserError(
            f"{patch.name} is {'' if has else 'not '}in {version}{since}",
            f"write '{'without' if has else 'with'} {patch.name}'",
        )
    return patch.name, word == "with"
