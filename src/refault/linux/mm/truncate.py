"""Taking pages out of a file (``mm/truncate.c``), and out of all its mappings (``mm/memory.c``).

The size of the file changes first, so that faults fail from then on; then what is mapped is
unmapped, and then each folio is locked, unmapped once more, and leaves the cache. A fault that
found the folio before looks at it again under the folio lock, and maps it under that lock.
"""

from __future__ import annotations

from refault.linux.include.linux.fs import AddressSpace
from refault.linux.include.linux.page import folio_of, folio_put, folio_try_get
from refault.linux.include.uapi.userfaultfd import PAGE_SIZE
from refault.linux.kernel.locking.rwsem import down_read, up_read
from refault.linux.mm.filemap import folio_lock, folio_unlock
from refault.linux.mm.memory.zap import ZapDetails, zap_page_range_single
from refault.linux.mm.page_cache import cached, filemap_remove_folio
from refault.linux.modelled import kernel_function


@kernel_function("mm/memory.c")
def unmap_mapping_pages(mapping: AddressSpace, start: int, end: int, even_cows: bool) -> None:
    """Unmap pages of a file wherever they are mapped; private copies only if told so."""
    down_read(mapping.i_mmap_rwsem)
    for vma in mapping.i_mmap:
        span = vma.span.read()
        if span is None:
            continue
        first = span.start + (max(start, span.pgoff) - span.pgoff) * PAGE_SIZE
        last = min(span.end, span.start + (end - span.pgoff) * PAGE_SIZE)
        if first < last:
            zap_page_range_single(vma, first, last, ZapDetails(even_cows=even_cows))
    up_read(mapping.i_mmap_rwsem)


@kernel_function("mm/truncate.c", quiet=True)
def truncate_inode_folio(mapping: AddressSpace, index: int, pfn: int) -> None:
    """Unmap a locked folio where it still is mapped, and take it out of the cache."""
    if folio_of(pfn).mapcount:
        unmap_mapping_pages(mapping, index, index + 1, False)
    filemap_remove_folio(pfn)


@kernel_function("mm/truncate.c")
def truncate_inode_pages_range(mapping: AddressSpace, start: int, end: int) -> None:
    """Take a range of pages out of the cache, one folio after the other."""
    for index in range(start, end):
        pfn = cached(mapping, index)
        if not pfn or not folio_try_get(pfn):
            continue
        folio_lock(pfn)
        if folio_of(pfn).mapping == (mapping.name, index):
            truncate_inode_folio(mapping, index, pfn)
        folio_unlock(pfn)
        folio_put(pfn)


@kernel_function("mm/truncate.c")
def truncate_pagecache(mapping: AddressSpace, size: int, old: int) -> None:
    """Unmap, truncate, and unmap again: private copies may have been made meanwhile."""
    unmap_mapping_pages(mapping, size, old, True)
    truncate_inode_pages_range(mapping, size, old)
    unmap_mapping_pages(mapping, size, old, True)


@kernel_function("mm/truncate.c", label="truncate")
def truncate_setsize(mapping: AddressSpace, size: int) -> None:
    """``ftruncate(2)``: the size first, then the pages beyond it."""
    old = mapping.i_size.read()
    mapping.i_size.write(size)
    truncate_pagecache(mapping, size, old)
