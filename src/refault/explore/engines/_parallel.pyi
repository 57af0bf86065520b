"""Types of the search by several threads; see ``_parallel.pyx``."""

from collections.abc import Callable

from ._core import Core

def search(
    core: Core,
    *,
    jobs: int,
    reduce: bool,
    resume: bool,
    max_states: int,
    max_memory: int,
    seconds: float,
    terminal_sink: Callable[[list[int], list[int]], object] | None = None,
    tick: Callable[[int, int, int], object] | None = None,
) -> int: ...
