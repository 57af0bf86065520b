"""A monitor that gives each missing page the contents of a source, as fast as it can.

What costs is the switch from the faulting thread to the monitor and back, not the language; but a
loop that polls and makes an object of each message pays as much again. So this one blocks in
``read``, into a buffer that is always the same, and hands the kernel a struct in which only the
address changes. As a blocking ``read`` cannot be bounded in time, the loop has a process of its
own, which is killed when it is no longer wanted or who made it ends.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import mmap
import os
import struct
import time
from contextlib import suppress
from types import TracebackType
from typing import NamedTuple

from . import process
from .abi import ioctl_read, ioctl_read_write
from .uffd_types import Event
from .userfaultfd import API, Userfaultfd

PAGE = 4096
BATCH = 32
"""Messages that one ``read`` may bring."""

_COPY, _WAKE = ioctl_read_write(API, 0x03, 40), ioctl_read(API, 0x02, 16)
_MESSAGE, _WORDS = 32, 4
_PATIENCE, _PAUSE = 5.0, 0.00005


class Served(NamedTuple):
    """How many messages were read, and how many chunks were copied for them at once."""

    messages: int
    copies: int


class PageServer:
    """A process that serves missing pages of a userfaultfd; a context manager that ends it.

    ``contents`` is what a page gets, or of how many pages a chunk: a fault is answered with the
    chunk around it, aligned to its own size, in one ``UFFDIO_COPY``. Where a part of the chunk is
    there or not registered, it is copied page by page; who waits is woken in any case. The
    userfaultfd blocks while it is served; nobody else should read it then.
    """

    def __init__(self, uffd: Userfaultfd, contents: bytes, *, cpus: tuple[int, ...] = ()) -> None:
        chunk = len(contents) // PAGE
        if len(contents) % PAGE or not chunk or chunk & (chunk - 1):
            raise ValueError("a chunk is one page, or a power of two of them")
        self._memory = mmap.mmap(-1, PAGE + len(contents))
        self._memory[PAGE:] = contents
        self._counts = memoryview(self._memory).cast("Q")
        source = ctypes.addressof(ctypes.c_char.from_buffer(self._memory)) + PAGE
        self._uffd = uffd
        os.set_blocking(uffd.fd, True)
        self.pid = process.fork(lambda: self._live(source, len(contents), cpus), (uffd.fd,))

    def _live(self, source: int, size: int, cpus: tuple[int, ...]) -> None:
        if cpus:
            os.sched_setaffinity(0, cpus)
        with suppress(ProcessLookupError):
            serve(self._uffd.fd, source, size, self._counts)

    def __enter__(self) -> PageServer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def served(self) -> Served:
        """What it has done until now."""
        return Served(self._counts[0], self._counts[1])

    def close(self) -> None:
        """End the process; what it has not served still waits."""
        if self.pid:
            process.end(self.pid, _PATIENCE)
            self.pid = 0
            if self._uffd.fd >= 0:
                os.set_blocking(self._uffd.fd, False)


def serve(fd: int, source: int, size: int, counts: memoryview[int]) -> None:
    """Serve for ever; ``counts`` are those of ``Served``.

    ``ProcessLookupError`` when the memory is gone.
    """
    buffer = bytearray(_MESSAGE * BATCH)
    words, buffers = memoryview(buffer).cast("Q"), [buffer]
    copy = bytearray(struct.pack("=5Q", 0, source, size, 0, 0))
    target, mask = memoryview(copy).cast("Q"), ~(size - 1)
    readv, ioctl, request, pagefault = os.readv, fcntl.ioctl, _COPY, Event.PAGEFAULT.value
    one, messages, copies = _MESSAGE, 0, 0
    later: list[int] = []
    while True:
        try:
            filled = readv(fd, buffers)
        except BlockingIOError:
            filled = 0
        if filled == one and words[0] == pagefault:  # mostly so; without a loop it is faster
            target[0] = words[2] & mask
            try:
                ioctl(fd, request, copy)
                copies += 1
            except OSError:
                later.append(target[0])
        else:
            for at in range(0, filled // 8, _WORDS):
                if words[at] & 0xFF == pagefault:
                    target[0] = words[at + 2] & mask
                    try:
                        ioctl(fd, request, copy)
                        copies += 1
                    except OSError:
                        later.append(target[0])
        messages += filled // one
        counts[0], counts[1] = messages, copies
        if later:  # a userfaultfd that blocks cannot be polled
            later = [chunk for chunk in later if not _repair(fd, source, chunk, size)]
            os.set_blocking(fd, not later)
            time.sleep(_PAUSE if later else 0)


def _repair(fd: int, source: int, chunk: int, size: int) -> bool:
    """Copy what is missing of a chunk, page by page, and wake who waits for any of it.

    False if memory is being changed: by somebody who waits until we have read of it, or who has
    not yet gone on since. ``ProcessLookupError`` if the memory is gone.
    """
    for offset in range(0, size, PAGE):
        data = bytearray(struct.pack("=5Q", chunk + offset, source + offset, PAGE, 0, 0))
        try:
            fcntl.ioctl(fd, _COPY, data)
        except OSError as error:
            if error.errno == errno.ESRCH:
                raise
            if error.errno == errno.EAGAIN:
                return False
    fcntl.ioctl(fd, _WAKE, struct.pack("=2Q", chunk, size))
    return True
