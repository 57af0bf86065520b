"""The bench programs by name: a function of ``models`` and its arguments.

Twins are found by the name of the model: ``promela/<model>.pml``, ``murphi/<model>.m``,
``c/<model>.c``, ``tla/<model>.tla``, and a function of ``threads``; each takes the same arguments.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from refault.explore import Program


class Bench(NamedTuple):
    """``models.<model>(**arguments)``.

    ``hash_bits``: log2 of the slots of SPIN's hash table, enough for the states of this size (or
    for what fits into memory). ``unordered``: threads write blindly over one another, which GenMC
    reports as an error unless two of its techniques are off.
    """

    model: str
    arguments: dict[str, int]
    hash_bits: int = 14
    unordered: bool = False

    def build(self) -> Callable[[Program], None]:
        """Make what ``refault.explore.check`` takes; import it only now: the runner stays small."""
        from bench import models  # noqa: PLC0415

        made: Callable[[Program], None] = getattr(models, self.model)(**self.arguments)
        return made

    def __str__(self) -> str:
        """The model with its arguments, as ``bench.one`` takes it: ``lastzero(n=9)``."""
        return f"{self.model}({','.join(f'{k}={v}' for k, v in self.arguments.items())})"

    @property
    def defines(self) -> list[str]:
        """The arguments, for the C preprocessor."""
        return [f"-D{name.upper()}={value}" for name, value in self.arguments.items()]


def philosophers(n: int, rounds: int, swapped: int, hash_bits: int = 14) -> Bench:
    """Dining philosophers."""
    return Bench("philosophers", {"n": n, "rounds": rounds, "swapped": swapped}, hash_bits)


def lastzero(n: int, hash_bits: int = 14) -> Bench:
    """Look for the last zero."""
    return Bench("lastzero", {"n": n}, hash_bits)


def uffd(n: int, wake: int = 1, hash_bits: int = 14) -> Bench:
    """Let ``n`` faulters and a monitor meet at one page."""
    return Bench("uffd", {"n": n, "wake_on_eexist": wake}, hash_bits, unordered=True)


TABLE: dict[str, Bench] = {
    "philosophers-8": philosophers(8, 1, 0, 20),
    "philosophers-8-swapped": philosophers(8, 1, 1, 20),
    "philosophers-8x2": philosophers(8, 2, 0, 25),
    "philosophers-8x2-swapped": philosophers(8, 2, 1, 25),
    "lastzero-12": lastzero(12, 25),
    "lastzero-15": lastzero(15, 25),
    "readers-13": Bench("readers", {"n": 13}, 22),
    "indexer-15": Bench("indexer", {"n": 15}, 25),
    "filesystem-19": Bench("filesystem", {"n": 19}, 25),
    "filesystem-22": Bench("filesystem", {"n": 22}, 25),
    "counter-5": Bench("counter", {"n": 5}, 14, unordered=True),
    "lockn-8": Bench("lockn", {"n": 8}, 14),
    "uffd-2": uffd(2),
    "uffd-3": uffd(3, hash_bits=16),
    "uffd-4": uffd(4, hash_bits=19),
}
"""What ``bench/run.py`` measures."""

SMALL: dict[str, Bench] = {
    "philosophers-3": philosophers(3, 1, 0),
    "philosophers-3-swapped": philosophers(3, 1, 1),
    "philosophers-3x2": philosophers(3, 2, 0),
    "lastzero-5": lastzero(5),
    "readers-6": Bench("readers", {"n": 6}),
    "indexer-3": Bench("indexer", {"n": 3}),
    "filesystem-2": Bench("filesystem", {"n": 2}),
    "counter-3": Bench("counter", {"n": 3}, unordered=True),
    "lockn-5": Bench("lockn", {"n": 5}),
    "uffd-lost-2": uffd(2, wake=0),
}
"""The same programs, small enough to be counted by every checker in a moment."""

PROGRAMS = TABLE | SMALL
