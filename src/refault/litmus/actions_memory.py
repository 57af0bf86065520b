"""What threads of a story do to their memory, and look at."""

from __future__ import annotations

from typing import Any

from .places import At, place


class MemoryActions:
    """Methods of ``Actor``; places are pages."""

    def do(self, what: str, label: str | None = None, **args: Any) -> None:
        """Do anything that the model and the kernel both can, by its name."""
        raise NotImplementedError

    def dontneed(self, at: At, *, label: str | None = None) -> None:
        """``madvise(MADV_DONTNEED)`` of a page."""
        self.do("dontneed", label, at=place(at))

    def munmap(self, at: At, pages: int = 1, *, label: str | None = None) -> None:
        """``munmap(2)``."""
        self.do("munmap", label, at=place(at), pages=pages)

    def mremap(self, at: At, to: At, pages: int = 1, *, label: str | None = None) -> None:
        """``mremap(2)`` to where there is room."""
        self.do("mremap", label, at=place(at), to=place(to), pages=pages)

    def put_user(self, at: At, *, label: str | None = None) -> None:
        """Have the kernel write to a page, in a system call that does nothing else."""
        self.do("put_user", label, at=place(at))

    def protection(self, at: At, *, label: str | None = None) -> None:
        """Look whether a page is write-protected by userfaultfd, in ``/proc/pid/pagemap``."""
        self.do("protection", label, at=place(at))

    def poll(self, *, label: str | None = None) -> None:
        """``poll(2)`` of the userfaultfd, without waiting."""
        self.do("poll", label)

    def handshake(self, features: str = "", *, api: int = 0xAA, label: str | None = None) -> None:
        """``UFFDIO_API``; ``features`` are names with blanks between them."""
        self.do("handshake", label, features=features, api=api)

    def registered(
        self, at: At, pages: int = 1, *, modes: str = "missing", label: str | None = None
    ) -> None:
        """``UFFDIO_REGISTER``, and look which ioctls the range can be used with."""
        self.do("registered", label, at=place(at), pages=pages, modes=modes)

    def ask(
        self,
        what: str,
        at: At,
        *,
        offset: int = 0,
        length: int = 4096,
        mode: int = 0,
        source: bool = True,
        label: str,
    ) -> None:
        """An ioctl with arguments as they are, also wrong ones: bytes, and the bits of the mode.

        ``what`` is ``copy``, ``zeropage``, ``wake``, ``writeprotect``, ``register`` or
        ``unregister``; without a ``source`` nothing is where COPY reads from.
        """
        args = {"ioctl": what, "offset": offset, "length": length, "mode": mode, "source": source}
        self.do("ask", label, at=place(at), **args)

    def peek(self, at: At, pages: int = 1, *, label: str | None = None) -> None:
        """Look at what pages hold and how they are marked; nothing is faulted in."""
        self.do("peek", label, at=place(at), pages=pages)
