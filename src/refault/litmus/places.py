"""Places of a story: memory, and its pages."""

from __future__ import annotations

from .program import Memory, Place


class Range:
    """Memory of the story: itself is its first page, ``memory[1]`` the next."""

    def __init__(self, memory: Memory) -> None:
        self.memory = memory

    def __getitem__(self, page: int) -> Place:
        if not 0 <= page < self.memory.pages:
            raise IndexError(f"{self.memory.name} has {self.memory.pages} pages")
        return Place(self.memory.name, page)


At = Range | Place


def place(at: At) -> Place:
    """A page by what names it."""
    return at[0] if isinstance(at, Range) else at
