"""Types of the random schedules; see ``_sample.pyx``."""

from ._core import Core

class Sampler:
    runs: int
    steps: int
    cut: int
    counts: dict[int, int]
    paths: dict[int, list[tuple[int, int]]]

    def __init__(self, core: Core, seed: int, max_depth: int) -> None: ...
    def run(self, *, seconds: float) -> bool: ...
