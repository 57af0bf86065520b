"""``mm/memory.c``, cut where a file of the model would grow too long.

* ``contract``: the flags that go into a fault, and what may come out of it
* ``fault``: from ``handle_mm_fault()`` down to the kind of fault
* ``anon``: anonymous memory that is not there yet
* ``file``: mappings of files and drivers, and ``mkwrite``: their first writes
* ``wp``: write faults on present pages, and copying them
* ``swap_in``: entries that are not present
* ``numa``: protnone entries
* ``zap``: taking PTEs away
"""

from refault.linux.mm.memory.fault import handle_mm_fault
from refault.linux.mm.memory.zap import zap_page_range_single

__all__ = ["handle_mm_fault", "zap_page_range_single"]
