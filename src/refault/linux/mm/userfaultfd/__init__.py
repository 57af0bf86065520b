"""``mm/userfaultfd.c``, cut where a file of the model would grow too long.

* ``lock``: which VMAs an ioctl works on, and their locks
* ``mfill``: filling holes, page after page: COPY, ZEROPAGE, CONTINUE and POISON
* ``request``: what it is asked, ``pte``, ``hugetlb``: filling one page, ``kind``: of which memory
* ``copy``: bringing the source of a copy in
* ``wp``: write-protecting
* ``move``: moving pages from one place to another
* ``armed``: the part of a mapping that says so
* ``register``: tying VMAs to a userfaultfd and setting them free
"""
