"""Page frames and folios (``struct folio`` of ``include/linux/mm_types.h``).

All folios are of one page. A frame is three cells: its metadata, its lock, and its contents.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from refault.explore import Mode, Violation, atomic
from refault.linux.asm.tlb import check_no_stale_entry
from refault.linux.modelled import NotModelled, current, current_kernel, kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program


HUGE_POOL = -2
"""The lists that hugetlb pages come from."""

MANY = 16
"""More references than anything in the model takes: a count that gets there leaks."""


class Folio(NamedTuple):
    """The metadata of a frame in use.

    ``lru_batch`` is the CPU in whose batch the folio waits to be put on the LRU list; the batch
    has a reference of its own. ``exclusive`` is PageAnonExclusive. ``mapping`` names the file and
    the page of it that a folio of the page cache holds, ``swap`` the slot of one that is in the
    swap cache; either cache has a reference. ``pins`` counts the references of ``FOLL_PIN``.
    """

    refcount: int = 1
    mapcount: int = 0
    exclusive: bool = False
    ksm: bool = False
    lru_batch: int | None = None
    mapping: tuple[str, int] | None = None
    swap: int | None = None
    dirty: bool = False
    uptodate: bool = True
    hwpoison: bool = False
    swapbacked: bool = True
    pins: int = 0

    def __repr__(self) -> str:
        words = [f"refs {self.refcount}", f"maps {self.mapcount}"]
        words += [
            word
            for word, said in (
                ("exclusive", self.exclusive),
                ("ksm", self.ksm),
                (f"in the LRU batch of cpu {self.lru_batch}", self.lru_batch is not None),
                (f"{self.mapping and self.mapping[0]}", self.mapping is not None),
                (f"page {self.mapping and self.mapping[1]}", self.mapping is not None),
                (f"swap cache of slot {self.swap}", self.swap is not None),
                ("dirty", self.dirty),
                ("not uptodate", not self.uptodate),
                ("poisoned", self.hwpoison),
                ("lazily freed", not self.swapbacked),
                (f"{self.pins} pins", self.pins > 0),
            )
            if said
        ]
        return ", ".join(words)


def _lock_holder(owner: str | None) -> dict[str, Mode]:
    return {owner: "x"} if owner else {}


class Frame:
    """A page frame: ``folio`` is None while it is free; ``cpu`` is whose lists it comes from."""

    def __init__(
        self, program: Program, pfn: int, cpu: int, folio: Folio | None = None, data: int = 0
    ) -> None:
        self.pfn = pfn
        self.cpu = cpu
        self.folio: Cell[Folio | None] = program.cell(f"pfn{pfn}", folio)
        self.lock: Cell[str | None] = program.cell(
            f"pfn{pfn}.PG_locked", None, holders=_lock_holder
        )
        self.data: Cell[int] = program.cell(f"pfn{pfn}.data", data)

    def __repr__(self) -> str:
        return f"pfn {self.pfn}"


def frame(pfn: int) -> Frame:
    """Return a frame by its number."""
    return current_kernel().frames[pfn]


def live(folio: Folio | None) -> Folio:
    """Return the metadata, or complain that the frame is free."""
    if folio is None:
        raise Violation("use after free", "the frame of this folio has been freed")
    return folio


def _add(folio: Folio | None, refs: int, maps: int) -> tuple[Folio | None, bool]:
    old = live(folio)
    new = old._replace(refcount=old.refcount + refs, mapcount=old.mapcount + maps)
    if new.mapcount < 0 or not new.mapcount <= new.refcount < MANY:
        raise Violation("BUG", f"folio counts run wild: {new}")
    if new.mapcount == 0 and old.mapcount:
        new = new._replace(exclusive=False)
    return (new, False) if new.refcount else (None, True)


def _set(folio: Folio | None, exclusive: bool) -> tuple[Folio | None, None]:
    return live(folio)._replace(exclusive=exclusive), None


@kernel_function("mm/page_alloc.c", quiet=True)
def alloc_page() -> int:
    """Take a frame from the lists of this CPU and return its number; it has one reference.

    Frames are of one NUMA node and of one size, and a CPU has a few of its own: two CPUs that
    allocate at the same time do not see each other.
    """
    cpu = current().cpu
    pfn = alloc_from(cpu)
    if not pfn:
        raise NotModelled("an allocation that fails", f"cpu {cpu} has no frame left")
    return pfn


def alloc_from(pool: int) -> int:
    """Take a frame from these lists, in one step; 0 if there is none."""
    with atomic():
        for owned in current_kernel().frames.values():
            if owned.cpu == pool and owned.folio.update(_allocate):
                owned.data.write(0)
                return owned.pfn
    return 0


def _allocate(folio: Folio | None) -> tuple[Folio | None, bool]:
    return (Folio(), True) if folio is None else (folio, False)


@kernel_function("include/linux/mm.h", quiet=True)
def folio_get(pfn: int) -> None:
    """Take a reference."""
    frame(pfn).folio.update(_add, 1, 0)


@kernel_function("include/linux/mm.h", quiet=True)
def folio_put(pfn: int) -> None:
    """Drop a reference; with the last one the frame is free."""
    with atomic():
        if frame(pfn).folio.update(_add, -1, 0):
            check_no_stale_entry(pfn)


def change_folio(pfn: int, **fields: object) -> None:
    """Set fields of a folio's metadata, in one step."""
    frame(pfn).folio.update(_change, tuple(sorted(fields.items())))


def _change(folio: Folio | None, fields: tuple[tuple[str, Any], ...]) -> tuple[Folio, None]:
    return live(folio)._replace(**dict(fields)), None


def folio_of(pfn: int) -> Folio:
    """Read the metadata of a frame that the caller knows to be in use."""
    return live(frame(pfn).folio.read())


def _try_get(folio: Folio | None) -> tuple[Folio | None, bool]:
    if folio is None:
        return None, False
    return folio._replace(refcount=folio.refcount + 1), True


@kernel_function("include/linux/page_ref.h", quiet=True)
def folio_try_get(pfn: int) -> bool:
    """Take a reference unless the folio has none left, that is, is free."""
    return frame(pfn).folio.update(_try_get)


@kernel_function("mm/rmap.c", quiet=True)
def folio_add_new_anon_rmap(pfn: int) -> None:
    """Count the first mapping of a new folio; it is exclusive to it."""
    _map(pfn, 0, exclusive=True)


@kernel_function("mm/rmap.c", quiet=True)
def folio_add_anon_rmap_pte(pfn: int, *, exclusive: bool) -> None:
    """Count a further mapping, which has a reference of its own already."""
    _map(pfn, 0, exclusive=exclusive)


def _map(pfn: int, refs: int, *, exclusive: bool) -> None:
    frame(pfn).folio.update(_add, refs, 1)
    if exclusive:
        set_page_anon_exclusive(pfn, True)


@kernel_function("mm/rmap.c", quiet=True)
def folio_add_file_rmap_pte(pfn: int) -> None:
    """Count a mapping of a file's page; its reference is taken already."""
    _map(pfn, 0, exclusive=False)


@kernel_function("mm/rmap.c", quiet=True)
def folio_remove_rmap_pte(pfn: int) -> None:
    """Count one mapping less; its reference stays to be put."""
    frame(pfn).folio.update(_add, 0, -1)


@kernel_function("include/linux/page-flags.h", quiet=True)
def set_page_anon_exclusive(pfn: int, exclusive: bool) -> None:
    """Set or clear PageAnonExclusive."""
    frame(pfn).folio.update(_set, exclusive)


@kernel_function("include/linux/page-flags.h", quiet=True)
def PageAnonExclusive(pfn: int) -> bool:
    """Tell whether the page belongs to one mapping only."""
    return live(frame(pfn).folio.read()).exclusive
