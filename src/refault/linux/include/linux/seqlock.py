"""Sequence counters (``include/linux/seqlock.h``).

A counter has no meaning but to tell a reader whether a write began since it started to read. The
model keeps just that, the readers for which the answer is still no, and so stays finite where
the number would grow for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import BLOCKED, Blocked, Names, current_task, renamed_in_order
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


class SeqState(NamedTuple):
    """``writing``: the count is odd; ``unchanged``: readers that have seen no write begin."""

    writing: bool = False
    unchanged: tuple[str, ...] = ()

    def renamed(self, names: Names) -> SeqState:
        """The same for other tasks."""
        return renamed_in_order(self, names, "unchanged")


class SeqCount:
    """``seqcount_t``; writers are serialised by the lock that its user names."""

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.cell: Cell[SeqState] = program.cell(name, SeqState())


def _read_begin(seq: SeqState, task: str) -> tuple[SeqState, None] | Blocked:
    if seq.writing:
        return BLOCKED
    return SeqState(False, tuple(sorted({*seq.unchanged, task}))), None


def _read_retry(seq: SeqState, task: str) -> tuple[SeqState, bool]:
    left = tuple(reader for reader in seq.unchanged if reader != task)
    return SeqState(seq.writing, left), task not in seq.unchanged


@kernel_function("include/linux/seqlock.h", quiet=True)
def read_seqcount_begin(seq: SeqCount) -> None:
    """Wait for an even count and remember it."""
    seq.cell.update(_read_begin, current_task())


def _raw_read(seq: SeqState, task: str) -> tuple[SeqState, bool]:
    if seq.writing:
        return seq, False
    return SeqState(False, tuple(sorted({*seq.unchanged, task}))), True


@kernel_function("include/linux/seqlock.h", quiet=True)
def raw_read_seqcount(seq: SeqCount) -> bool:
    """Remember the count if it is even; False, without waiting, if a writer is at it."""
    return seq.cell.update(_raw_read, current_task())


@kernel_function("include/linux/seqlock.h", quiet=True)
def read_seqcount_retry(seq: SeqCount) -> bool:
    """Tell whether a write began since ``read_seqcount_begin()``."""
    return seq.cell.update(_read_retry, current_task())


@kernel_function("include/linux/seqlock.h", quiet=True)
def write_seqcount_begin(seq: SeqCount) -> None:
    """Make the count odd."""
    seq.cell.write(SeqState(True))


@kernel_function("include/linux/seqlock.h", quiet=True)
def write_seqcount_end(seq: SeqCount) -> None:
    """Make the count even again."""
    seq.cell.write(SeqState(False))
