"""``mm/memory.c``, cut where a file of the model would grow too long.

* ``fault``: from ``handle_mm_fault()`` down to the kind of fault
* ``wp``: write faults on present pages, and copying them
* ``swap_in``: entries that are not present
* ``numa``: protnone entries
* ``zap``: taking PTEs away
"""

from refault.linux.mm.memory.fault import handle_mm_fault
from refault.linux.mm.memory.zap import zap_page_range_single

__all__ = ["handle_mm_fault", "zap_page_range_single"]
