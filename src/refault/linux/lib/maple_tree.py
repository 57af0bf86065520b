"""The tree of a process's VMAs, as far as its nodes come and go (``lib/maple_tree.c``).

To store a range is to write a new node, to put it in the place of the old one, and to free the old
one when RCU's readers have left. Whoever walks the tree under mmap_lock is no such reader: it is
mmap_lock that keeps the nodes where they are, as long as whoever stores holds it for writing.

The tree here is one node, or its successor. What the nodes say of VMAs is in the VMAs themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.include.linux.slab import FREED, SlabField
from refault.linux.modelled import kernel_function

if TYPE_CHECKING:
    from refault.explore import Cell, Program

NODES = 2


class MapleTree:
    """``struct maple_tree``: which node is the root, the nodes, and one that waits to be freed."""

    def __init__(self, program: Program, name: str) -> None:
        self.name = name
        self.root: Cell[int] = program.cell(f"{name}.ma_root", 0)
        self.nodes = [
            SlabField(program, f"{name} node {n}", FREED if n else "ranges") for n in range(NODES)
        ]
        self.retired: Cell[int | None] = program.cell(f"{name}.retired", None)

    def __repr__(self) -> str:
        return self.name


@kernel_function("lib/maple_tree.c")
def mas_walk(tree: MapleTree) -> None:
    """Go from the root to the node that says where the VMAs are, and read it."""
    tree.nodes[tree.root.read()].read()


@kernel_function("lib/maple_tree.c")
def mas_store(tree: MapleTree) -> None:
    """Put a new node in the place of the old one, and hand that to RCU."""
    old = tree.root.read()
    new = (old + 1) % NODES
    if not tree.nodes[new].is_live():
        tree.nodes[new].allocate("ranges")
        tree.root.write(new)
        tree.retired.write(old)


def _is_retired(node: int | None) -> bool:
    return node is not None


@kernel_function("lib/maple_tree.c")
def mt_free_rcu(tree: MapleTree) -> None:
    """What RCU does when a grace period has passed since a node was handed to it.

    Walks under RCU are one step here, so there is no reader of it to wait for.
    """
    node = tree.retired.wait(_is_retired)
    assert node is not None
    tree.retired.write(None)
    tree.nodes[node].free()
