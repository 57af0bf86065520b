"""Objects that are freed and whose memory may be looked at too late (``include/linux/slab.h``).

A freed object is poisoned, as with ``slub_debug=P``: to read or to write it is a use after free.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

from refault.explore import Violation

if TYPE_CHECKING:
    from refault.explore import Cell, Program

T = TypeVar("T")


class Poison(Enum):
    """What is in freed memory."""

    FREED = "freed"

    def __repr__(self) -> str:
        return "freed"


FREED = Poison.FREED


def _live(value: T | Poison, what: str) -> T:
    if isinstance(value, Poison):
        raise Violation("use after free", f"{what} is read after it was freed")
    return value


def _overwrite(value: T | Poison, new: T, what: str) -> tuple[T, None]:
    if isinstance(value, Poison):
        raise Violation("use after free", f"{what} is written after it was freed")
    return new, None


def _free(value: T | Poison, what: str) -> tuple[Poison, None]:
    if isinstance(value, Poison):
        raise Violation("use after free", f"{what} is freed twice")
    return FREED, None


def _allocate(value: T | Poison, new: T) -> tuple[T | Poison, bool]:
    return (new, True) if isinstance(value, Poison) else (value, False)


def _is_live(value: Any) -> bool:
    return not isinstance(value, Poison)


class SlabField(Generic[T]):
    """A field of an object that can be freed: a cell that holds a value or poison."""

    def __init__(self, program: Program, name: str, initial: T | Poison) -> None:
        self.name = name
        self.cell: Cell[T | Poison] = program.cell(name, initial)

    def read(self) -> T:
        """Read the field; a use after free if the object is freed."""
        return cast("T", self.cell.peek(_live, self.name))

    def write(self, value: T) -> None:
        """Write the field of a live object."""
        self.cell.update(_overwrite, value, self.name)

    def allocate(self, value: T) -> bool:
        """Bring a freed object to life with this value; False if it is alive already."""
        return self.cell.update(_allocate, value)

    def free(self) -> None:
        """Free the object."""
        self.cell.update(_free, self.name)

    def is_live(self) -> bool:
        """Look whether the object is alive, as only the model can."""
        return self.cell.peek(_is_live)
