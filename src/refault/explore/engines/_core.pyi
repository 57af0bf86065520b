"""Types of the native core; see ``_core.pyx``."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

COMPLETE: int
LIMIT_STATES: int
LIMIT_MEMORY: int
LIMIT_TIME: int
RESTART: int
INTERRUPTED: int
LIMIT_DEPTH: int
LIMIT_WIDTH: int

class Filler(Protocol):
    def fill(self, node: int, value: int, /) -> None: ...

class Core:
    ncell: int
    ntask: int
    nnode: int
    states: int
    transitions: int
    terminals: int
    deepest: int
    misses: int
    counts: dict[int, int]
    paths: dict[int, list[tuple[int, int]]]
    targets_cut: bool
    cyclic: bool
    withdrawn: bool

    def __init__(self, cells: int, tasks: int, filler: Filler) -> None: ...
    def add_node(self, task: int, cell: int, arg: int, reads: bool) -> int: ...
    def set_solo(self, node: int, solo: bool) -> None: ...
    def set_futures(
        self, words: int, signature: Sequence[int], future: bytes, conflicts: bytes
    ) -> None: ...
    def withdraw(self) -> None: ...
    def set_entry(
        self, node: int, value: int, newv: int, next: int, cont: bool, delta: int
    ) -> None: ...
    def set_blocked(self, node: int, value: int) -> None: ...
    def set_root(self, values: Iterable[int], locations: Iterable[int], fp: int) -> None: ...
    def add_probe(self, slot: int) -> int: ...
    def set_probe(self, probe: int, value: int, child: int) -> None: ...
    def set_terminal(self, probe: int) -> None: ...
    def set_invariants(self, probes: list[int]) -> None: ...
    def watch(self, cell: int) -> None: ...
    def value(self, slot: int) -> int: ...
    def save(self) -> dict[str, Any]: ...
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
