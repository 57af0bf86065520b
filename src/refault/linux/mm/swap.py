"""Batches of folios on their way to the LRU lists (``mm/swap.c``).

A folio that was just mapped is not on a list yet: it waits in a batch of the CPU, and the batch
holds a reference until it is drained. So the reference count of a page fresh from a fault or from
``UFFDIO_COPY`` is one more than its mappings tell, for an unforeseeable while.
"""

from __future__ import annotations

from refault.explore import atomic
from refault.linux.include.linux.page import Folio, frame, live
from refault.linux.modelled import current, current_kernel, kernel_function


def _batch(folio: Folio | None, cpu: int) -> tuple[Folio | None, None]:
    old = live(folio)
    return old._replace(refcount=old.refcount + 1, lru_batch=cpu), None


def _drain(folio: Folio | None, cpu: int | None) -> tuple[Folio | None, None]:
    if folio is None or folio.lru_batch is None or cpu not in (None, folio.lru_batch):
        return folio, None
    left = folio.refcount - 1
    return (folio._replace(refcount=left, lru_batch=None) if left else None), None


@kernel_function("mm/swap.c", quiet=True)
def folio_add_lru(pfn: int) -> None:
    """Put the folio into this CPU's batch."""
    frame(pfn).folio.update(_batch, current().cpu)


@kernel_function("mm/swap.c", quiet=True)
def lru_add_drain(pfn: int) -> None:
    """Drain this CPU's batch; here, of the one folio that the caller looks at."""
    frame(pfn).folio.update(_drain, current().cpu)


@kernel_function("mm/swap.c", quiet=True)
def lru_add_drain_all() -> None:
    """Drain the batches of all CPUs."""
    with atomic():
        for owned in current_kernel().frames.values():
            owned.folio.update(_drain, None)
