"""Types of the native core; see ``_core.pyx``."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ._behaviour import Behaviour

COMPLETE: int
LIMIT_STATES: int
LIMIT_MEMORY: int
LIMIT_TIME: int
RESTART: int
INTERRUPTED: int
LIMIT_DEPTH: int
LIMIT_WIDTH: int
PAUSED: int

_Stack = list[tuple[int, int, int, int, int, int, int, int]]

class Filler(Protocol):
    fill_probe: Callable[[Core, int, int], None]

    def fill(self, node: int, value: int, /) -> None: ...

class Core:
    tables: Behaviour
    ncell: int
    ntask: int
    states: int
    transitions: int
    terminals: int
    deepest: int
    misses: int
    counts: dict[int, int]
    paths: dict[int, list[tuple[int, int]]]
    targets_cut: bool
    cyclic: bool
    guessed: bool
    whole: bool

    def __init__(self, tables: Behaviour, filler: Filler) -> None: ...
    def value(self, slot: int) -> int: ...
    def save(self) -> dict[str, Any]: ...
    def forget(self) -> None: ...
    def take_up(self, stacks: Sequence[_Stack]) -> None: ...
    def serve(self) -> None: ...
    def turn_to(self, stack: _Stack, order: int) -> None: ...
    def fresh(self) -> bytes: ...
    def fingerprints(self) -> bytes: ...
    def learn(self, data: bytes) -> int: ...
    def account(self, states: int, transitions: int, terminals: int, depth: int) -> None: ...
    def found(self, finding: int, count: int, path: list[tuple[int, int]]) -> None: ...
    def segment(self, number: int) -> memoryview: ...
    def load(self, saved: dict[str, Any]) -> bool: ...
    def search(
        self,
        *,
        reduce: bool,
        resume: bool,
        max_states: int,
        max_memory: int,
        seconds: float,
        terminal_sink: Callable[[list[int], list[int]], object] | None = None,
        tick: Callable[[int, int, int], object] | None = None,
    ) -> int: ...
