"""Types of the optimal DPOR; see ``_dpor.pyx``."""

from collections.abc import Callable

from ._core import Core

class Dpor:
    traces: int
    redundant: int
    steps: int
    races: int
    deepest: int
    counts: dict[int, int]
    paths: dict[int, list[tuple[int, int]]]

    def __init__(self, core: Core, max_depth: int) -> None: ...
    def run(
        self,
        *,
        max_traces: int,
        max_memory: int,
        seconds: float,
        terminal_sink: Callable[[list[int], list[int]], object] | None = None,
        tick: Callable[[int, int, int], object] | None = None,
    ) -> int: ...
