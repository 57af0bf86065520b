"""``mm/gup.c``: pages of user memory for the kernel's own use.

``follow`` looks at the page table, ``faultin`` asks for what is not there, ``pages`` is the loop of
the two with the lock that may be dropped in it, ``fast`` does without locks, ``fixup`` is for those
who want a fault and no page.
"""
