"""A patch: modelled functions that replace others by name, as a livepatch does."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Kind = Literal["fix", "later fix", "proposal", "configuration"]
"""A *fix* is in the base and can be reverted; a *later fix* was merged after the base; a
*proposal* was never merged, or not yet; a *configuration* is an option of the base's build."""


@dataclass(frozen=True)
class Patch:
    """A change to the model, known by its name.

    ``replaces`` maps kernel functions to what runs in their place: for a fix the code as it was
    without it, else the code as it is with the patch. ``since`` is the first version that has it,
    ``commit`` its id in Linus's tree; both are empty for a proposal and a configuration.
    ``stable`` maps releases to their first stable release with a backport, such as
    ``{"6.1": "6.1.30"}``.

    ``over`` names patches that touch functions of ``replaces`` too and whose replacement this one
    stands in for: the code is right with both. Two patches of one function of which neither is
    over the other cannot be together.
    """

    name: str
    title: str
    kind: Kind
    source: str
    replaces: Mapping[str, Callable[..., Any]]
    commit: str = ""
    since: str = ""
    stable: Mapping[str, str] = field(default_factory=dict)
    over: tuple[str, ...] = ()

    @property
    def in_base(self) -> bool:
        """Whether the base kernel has it, so that it can only be reverted."""
        return self.kind in ("fix", "configuration")

    @property
    def word(self) -> str:
        """How a variant names it: ``without`` what the base has, ``with`` the rest."""
        return "without" if self.in_base else "with"

    @property
    def variant(self) -> str:
        """The variant in which this patch, alone, makes the difference."""
        return f"{self.word} {self.name}"
