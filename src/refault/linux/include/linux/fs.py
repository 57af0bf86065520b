"""Files and their pages: ``struct address_space`` and ``struct file`` (``include/linux/fs.h``).

A file is its size, its page cache and the locks around it. The cache is one cell, the kernel's
xarray: which frame holds which page of the file. A folio in it has a reference of the cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.kernel.locking.rwsem import Rwsem

if TYPE_CHECKING:
    from refault.explore import Cell, Program
    from refault.linux.include.linux.mm import VmOperations
    from refault.linux.include.linux.mm_types import VmArea


class AddressSpace:
    """``struct address_space``: the pages of one file.

    ``i_pages`` maps page indices to frames, as a sorted tuple of pairs. ``i_mmap`` are the VMAs
    that may map the file; whether one does now its span tells. ``disk`` is what the storage holds.
    """

    def __init__(self, program: Program, name: str, pages: int, cached: dict[int, int]) -> None:
        self.name = name
        self.i_pages: Cell[tuple[tuple[int, int], ...]] = program.cell(
            f"{name}.i_pages", tuple(sorted(cached.items()))
        )
        self.i_size: Cell[int] = program.cell(f"{name}.i_size", pages)
        self.invalidate_lock = Rwsem(program, f"{name}.invalidate_lock")
        self.i_mmap_rwsem = Rwsem(program, f"{name}.i_mmap_rwsem")
        self.i_mmap: list[VmArea] = []
        self.disk: tuple[Cell[int], ...] = tuple(
            program.cell(f"{name}.disk[{index}]", 0) for index in range(pages)
        )

    def __repr__(self) -> str:
        return self.name


class File:
    """``struct file`` with its inode: a mapping of it gets ``vm_ops``.

    ``congested`` is true as long as those who dirty its pages are held back; None if they never
    are.
    """

    def __init__(
        self, mapping: AddressSpace, vm_ops: VmOperations, congested: Cell[bool] | None = None
    ) -> None:
        self.mapping = mapping
        self.vm_ops = vm_ops
        self.congested = congested

    def __repr__(self) -> str:
        return self.mapping.name
