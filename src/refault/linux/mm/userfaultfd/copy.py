"""The source of UFFDIO_COPY (``mm/userfaultfd.c``: ``mfill_atomic_pte_copy()``).

The first attempt is made under the locks, with page faults disabled: a fault that waited for
mmap_lock behind a queued writer would wait for ever. If the source is not there, the locks are
dropped, the page is copied by way of its fault, and the locks are taken again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from refault.explore import note
from refault.linux.arch.mmu import copy_from_user, copy_from_user_nofault
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.linux.include.linux.mm_types import MmStruct

COPIED = 7
"""The contents of a page that UFFDIO_COPY filled from memory of the monitor that is there."""


class Source(NamedTuple):
    """Where to copy from: memory of the monitor, page by page from ``address`` on."""

    mm: MmStruct
    address: int


def copy_with_faults_disabled(source: Source | None, offset: int) -> int | None:
    """Read a page of the source under the locks; None if that would take a fault."""
    if source is None:
        return COPIED
    return copy_from_user_nofault(source.mm, source.address + offset)


@kernel_function("mm/userfaultfd.c")
def copy_outside_the_locks(source: Source, offset: int) -> int | None:
    """Read a page of the source with no lock held, faulting it in; None for -EFAULT."""
    note("the source is not there: dropped the locks")
    return copy_from_user(source.mm, source.address + offset)
