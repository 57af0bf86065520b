"""``fs/userfaultfd.c``, cut where a file of the model would grow too long.

* ``ctx``: the object behind the file descriptor
* ``wake``: waking faulting tasks
* ``fault``: ``handle_userfault()`` and ``userfaultfd_must_wait()``
* ``read``, ``poll``: ``read(2)`` and ``poll(2)`` of messages
* ``api``, ``register``: the handshake, and which memory it is for
* ``ioctl``: ``UFFDIO_COPY`` and its like
* ``events``: what the monitor is told of fork, mremap, madvise and munmap
* ``release``: the last close
"""
