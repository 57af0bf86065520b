"""A userfaultfd, as the program sees it that holds it.

Each method is one system call of the thread that calls it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from refault.linux.fs.userfaultfd.api import ApiResult, userfaultfd_api
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import (
    Request,
    userfaultfd_continue,
    userfaultfd_copy,
    userfaultfd_move,
    userfaultfd_poison,
    userfaultfd_wake,
    userfaultfd_writeprotect,
    userfaultfd_zeropage,
)
from refault.linux.fs.userfaultfd.poll import Poll, do_poll
from refault.linux.fs.userfaultfd.read import userfaultfd_read_iter
from refault.linux.fs.userfaultfd.register import (
    Registered,
    userfaultfd_register,
    userfaultfd_unregister,
)
from refault.linux.fs.userfaultfd.release import userfaultfd_release
from refault.linux.include.uapi.userfaultfd import (
    PAGE_SIZE,
    UFFD_API,
    ContinueMode,
    CopyMode,
    MoveMode,
    PoisonMode,
    RegisterMode,
    UffdFeature,
    UffdMsg,
    UserStruct,
    WriteprotectMode,
    ZeropageMode,
)
from refault.linux.kernel.entry.common import system_call
from refault.linux.mm.userfaultfd.copy import Source
from refault.linux.modelled import current_kernel

if TYPE_CHECKING:
    from refault.linux.user import Page

WRITABLE = UserStruct.WRITABLE


def _range(page: Page, pages: int, struct: UserStruct = WRITABLE) -> Request:
    return Request(page.address, pages * PAGE_SIZE, struct)


class UserFaultFd:
    """An open userfaultfd.

    The ioctls work on ``pages`` pages from ``page`` on. Those that fill return what the program
    finds in their struct: the bytes filled, or -errno; fewer bytes than asked for come with an
    -EAGAIN. ``struct`` says whether the program's struct can be read and written.
    """

    def __init__(self, ctx: UserfaultfdCtx) -> None:
        self.ctx = ctx

    @system_call
    def api(
        self,
        features: UffdFeature = UffdFeature.NONE,
        *,
        api: int = UFFD_API,
        capable: bool = True,
        struct: UserStruct = WRITABLE,
    ) -> ApiResult:
        """``UFFDIO_API``: the handshake, by a program that has CAP_SYS_PTRACE or has not."""
        return userfaultfd_api(self.ctx, features, api=api, capable=capable, struct=struct)

    @system_call
    def register(
        self,
        page: Page,
        mode: RegisterMode = RegisterMode.MISSING,
        *,
        pages: int = 1,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_REGISTER``: returns 0 or -errno."""
        return userfaultfd_register(self.ctx, _range(page, pages, struct), mode).ret

    @system_call
    def registered(
        self, page: Page, mode: RegisterMode = RegisterMode.MISSING, *, pages: int = 1
    ) -> Registered:
        """``UFFDIO_REGISTER``: what it returns, and which ioctls the range may be used with."""
        return userfaultfd_register(self.ctx, _range(page, pages), mode)

    @system_call
    def unregister(self, page: Page, *, pages: int = 1) -> int:
        """``UFFDIO_UNREGISTER``: returns 0 or -errno."""
        return userfaultfd_unregister(self.ctx, _range(page, pages))

    def read(self) -> UffdMsg | None:
        """``read(2)``: the next message, or None where there is none, or an error."""
        found = self.read_many(1)
        return None if isinstance(found, int) else found[0]

    @system_call
    def read_many(
        self, count: int, *, buffer: UserStruct = WRITABLE, may_open: bool = True
    ) -> tuple[UffdMsg, ...] | int:
        """``read(2)`` into a buffer for ``count`` messages: as many as there are, or -errno.

        ``may_open`` says whether the program may have one descriptor more, for a fork.
        """
        return userfaultfd_read_iter(self.ctx, count, buffer=buffer, may_open=may_open)

    @system_call
    def poll(self, *, wait: bool = True) -> Poll | int:
        """``poll(2)``: wait until the descriptor is ready for something, or only look."""
        return do_poll(self.ctx, timeout=not wait)

    def child(self, msg: UffdMsg) -> UserFaultFd:
        """The userfaultfd that a FORK message brings."""
        ctx = current_kernel().uffd(msg.ufd)
        assert ctx is not None, f"{msg} brings no userfaultfd"
        return UserFaultFd(ctx)

    @system_call
    def copy(
        self,
        page: Page,
        mode: CopyMode = CopyMode.NONE,
        *,
        pages: int = 1,
        src: Page | None = None,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_COPY`` from ``src``, or from memory that is there: returns the bytes filled."""
        source = Source(src.mm, src.address) if src else None
        return userfaultfd_copy(self.ctx, _range(page, pages, struct), mode, source)

    @system_call
    def zeropage(
        self,
        page: Page,
        mode: ZeropageMode = ZeropageMode.NONE,
        *,
        pages: int = 1,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_ZEROPAGE``: returns the bytes filled, or -errno."""
        return userfaultfd_zeropage(self.ctx, _range(page, pages, struct), mode)

    @system_call
    def resume(
        self,
        page: Page,
        mode: ContinueMode = ContinueMode.NONE,
        *,
        pages: int = 1,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_CONTINUE``: returns the bytes mapped, or -errno."""
        return userfaultfd_continue(self.ctx, _range(page, pages, struct), mode)

    @system_call
    def poison(
        self,
        page: Page,
        mode: PoisonMode = PoisonMode.NONE,
        *,
        pages: int = 1,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_POISON``: returns the bytes poisoned, or -errno."""
        return userfaultfd_poison(self.ctx, _range(page, pages, struct), mode)

    @system_call
    def move(
        self,
        page: Page,
        src: Page,
        mode: MoveMode = MoveMode.NONE,
        *,
        pages: int = 1,
        struct: UserStruct = WRITABLE,
    ) -> int:
        """``UFFDIO_MOVE`` from ``src``: returns the bytes moved, or -errno."""
        return userfaultfd_move(self.ctx, _range(page, pages, struct), src.address, mode)

    @system_call
    def protect(self, page: Page, *, pages: int = 1) -> int:
        """``UFFDIO_WRITEPROTECT`` with ``MODE_WP``."""
        return userfaultfd_writeprotect(self.ctx, _range(page, pages), WriteprotectMode.WP)

    @system_call
    def unprotect(
        self, page: Page, mode: WriteprotectMode = WriteprotectMode.NONE, *, pages: int = 1
    ) -> int:
        """``UFFDIO_WRITEPROTECT`` without ``MODE_WP``; wakes, unless ``mode`` is DONTWAKE."""
        return userfaultfd_writeprotect(self.ctx, _range(page, pages), mode)

    @system_call
    def wake(self, page: Page, *, pages: int = 1) -> int:
        """``UFFDIO_WAKE``."""
        return userfaultfd_wake(self.ctx, _range(page, pages))

    @system_call
    def close(self) -> None:
        """``close(2)`` of the last descriptor, which no thread is using."""
        userfaultfd_release(self.ctx)
