"""The bench programs by name: a function of ``models``, its arguments, and its SPIN twin."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from refault.explore import Program


class Bench(NamedTuple):
    """``models.<model>(**arguments)`` and ``promela/<model>.pml`` with the same arguments.

    ``hash_bits``: log2 of the slots of SPIN's hash table, enough for the states of this size.
    ``quick`` ones are small enough for the test suite.
    """

    model: str
    arguments: dict[str, int]
    hash_bits: int
    quick: bool = False

    def build(self) -> Callable[[Program], None]:
        """Make what ``refault.explore.check`` takes; import it only now: the runner stays small."""
        from bench import models  # noqa: PLC0415

        made: Callable[[Program], None] = getattr(models, self.model)(**self.arguments)
        return made

    @property
    def defines(self) -> list[str]:
        """The arguments, for the C preprocessor."""
        return [f"-D{name.upper()}={value}" for name, value in self.arguments.items()]


def _philosophers(n: int, hash_bits: int, *, quick: bool = False) -> Bench:
    return Bench("philosophers", {"n": n, "rounds": 2}, hash_bits, quick)


def _uffd(n: int, wake: int, hash_bits: int, *, quick: bool = False) -> Bench:
    return Bench("uffd", {"n": n, "wake_on_eexist": wake}, hash_bits, quick)


PROGRAMS: dict[str, Bench] = {
    "philosophers-4": _philosophers(4, 16, quick=True),
    "philosophers-6": _philosophers(6, 20),
    "philosophers-8": _philosophers(8, 25),
    "lastzero-5": Bench("lastzero", {"n": 5}, 14, quick=True),
    "lastzero-8": Bench("lastzero", {"n": 8}, 18),
    "lastzero-10": Bench("lastzero", {"n": 10}, 22),
    "readers-6": Bench("readers", {"n": 6}, 14, quick=True),
    "readers-13": Bench("readers", {"n": 13}, 22),
    "counter-4": Bench("counter", {"n": 4}, 14, quick=True),
    "counter-8": Bench("counter", {"n": 8}, 20),
    "lockn-8": Bench("lockn", {"n": 8}, 14, quick=True),
    "uffd-2": _uffd(2, 1, 14, quick=True),
    "uffd-lost-2": _uffd(2, 0, 14, quick=True),
    "uffd-4": _uffd(4, 1, 19),
    "uffd-lost-4": _uffd(4, 0, 19),
    "uffd-5": _uffd(5, 1, 23),
}
"""A full run measures those that are not quick, ``--quick`` the others."""
