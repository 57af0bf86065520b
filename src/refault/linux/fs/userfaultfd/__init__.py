"""``fs/userfaultfd.c``, cut where a file of the model would grow too long.

* ``ctx``: the object behind the file descriptor
* ``wake``: waking faulting tasks
* ``fault``: ``handle_userfault()`` and ``userfaultfd_must_wait()``
* ``read``: ``read(2)`` of events
* ``ioctl``: ``UFFDIO_COPY`` and its like
"""
