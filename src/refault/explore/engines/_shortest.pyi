"""Types of the search for few context switches; see ``_shortest.pyx``."""

from collections.abc import Collection
from typing import Protocol

from ._core import Core

class Kinds(Protocol):
    def get(self, number: int, /) -> str: ...

def shortest(
    core: Core,
    wanted: Kinds,
    kind: str,
    *,
    found: Collection[int] | None,
    max_states: int,
    max_memory: int,
    seconds: float,
) -> tuple[tuple[int, list[tuple[int, int]]] | None, int]: ...
def nearest(
    core: Core,
    goals: set[int],
    *,
    max_states: int,
    max_memory: int,
    seconds: float,
) -> tuple[tuple[int, list[tuple[int, int]]] | None, int]: ...
