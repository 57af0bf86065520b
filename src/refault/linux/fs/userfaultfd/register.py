"""Which memory a userfaultfd is for (``fs/userfaultfd.c``: register and unregister)."""

from __future__ import annotations

from typing import NamedTuple

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import (
    Request,
    is_initialized,
    known_only,
    validate_range,
)
from refault.linux.fs.userfaultfd.offers import (
    all_offers,
    offers_minor_hugetlbfs,
    offers_minor_shmem,
    offers_wp_of_files,
)
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.errno import EBUSY, EFAULT, EINVAL, ENOMEM, EPERM, errno_name
from refault.linux.include.uapi.userfaultfd import (
    RegisterMode,
    UffdFeature,
    UffdIoctl,
    UffdRange,
    UserStruct,
)
from refault.linux.kernel.fork import mmget_not_zero
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.userfaultfd.kind import (
    can_userfault,
    is_vm_hugetlb_page,
    vma_is_anonymous,
    vma_is_shmem,
)
from refault.linux.mm.userfaultfd.lock import vma_bounds, vmas_in
from refault.linux.mm.userfaultfd.register import userfaultfd_clear_vma, userfaultfd_register_range
from refault.linux.modelled import kernel_function

MODES = {
    RegisterMode.MISSING: Vm.UFFD_MISSING,
    RegisterMode.WP: Vm.UFFD_WP,
    RegisterMode.MINOR: Vm.UFFD_MINOR,
}


def register_flags(mode: RegisterMode) -> Vm:
    """Return the VMA flags that stand for a registration's modes."""
    return Vm(sum(flag for bit, flag in MODES.items() if mode & bit))


class Registered(NamedTuple):
    """What the program finds: the result of the ioctl, and ``uffdio_register.ioctls``."""

    ret: int
    ioctls: UffdIoctl = UffdIoctl.NONE


def range_ioctls(modes: Vm, huge: bool) -> UffdIoctl:
    """The ioctls that a range may be used with: hugetlb has no zero page, and is not moved.

    Whether one of them makes sense for the kind of memory nobody asks beyond that.
    """
    offered = all_offers()
    found = UffdIoctl.WAKE | UffdIoctl.COPY
    found |= UffdIoctl.NONE if huge else UffdIoctl.ZEROPAGE
    found |= UffdIoctl.MOVE if not huge and offered & UffdFeature.MOVE else UffdIoctl.NONE
    found |= UffdIoctl.WRITEPROTECT if modes & Vm.UFFD_WP else UffdIoctl.NONE
    found |= UffdIoctl.CONTINUE if modes & Vm.UFFD_MINOR else UffdIoctl.NONE
    return found | (UffdIoctl.POISON if offered & UffdFeature.POISON else UffdIoctl.NONE)


@kernel_function("include/linux/userfaultfd_k.h", quiet=True)
def vma_can_userfault(vma: VmArea, modes: Vm, asynchronous: bool) -> bool:
    """Tell whether this kind of memory can be registered so.

    Any can be for asynchronous write-protection alone.
    """
    if asynchronous and modes == Vm.UFFD_WP:
        return True
    return can_userfault(vma, modes) and _offered_for(vma, modes)


def _offered_for(vma: VmArea, modes: Vm) -> bool:
    """Tell whether this version can do so to this kind of memory."""
    if modes & Vm.UFFD_MINOR and not (
        offers_minor_shmem() if vma_is_shmem(vma) else offers_minor_hugetlbfs()
    ):
        return False
    return not modes & Vm.UFFD_WP or vma_is_anonymous(vma) or bool(offers_wp_of_files())


def _register_label(ctx: UserfaultfdCtx, ask: Request, mode: RegisterMode) -> str:
    return f"UFFDIO_REGISTER({mode.name})"


@kernel_function("fs/userfaultfd.c", label=_register_label)
def userfaultfd_register(ctx: UserfaultfdCtx, ask: Request, mode: RegisterMode) -> Registered:
    """Register a range for these kinds of faults; returns 0 or -errno, and the ioctls for it.

    All VMAs are looked at before the first is changed. The registration stands even where the
    answer, which ioctls can be used on the range, cannot be written.
    """
    if not is_initialized(ctx):
        return Registered(-EINVAL)
    if ask.struct is UserStruct.UNMAPPED:
        return Registered(-EFAULT)
    modes = register_flags(mode)
    err = 0 if modes and known_only(mode, *MODES) else -EINVAL
    err = err or validate_range(ask.dst, ask.length)
    if err:
        return Registered(err)
    if not mmget_not_zero(ctx.mm):
        return Registered(-ENOMEM)
    mmap_write_lock(ctx.mm)
    err = _may_register(ctx, modes, ask.range)
    huge = not err and any(map(is_vm_hugetlb_page, vmas_in(ctx.mm, ask.dst, ask.range.end)))
    if not err:
        userfaultfd_register_range(ctx, modes, ask.range.start, ask.range.end)
    mmap_write_unlock(ctx.mm)
    if err:
        note(errno_name(err))
        return Registered(err)
    if ask.struct is UserStruct.READ_ONLY:
        return Registered(-EFAULT)
    return Registered(0, range_ioctls(modes, huge))


def _may_register(ctx: UserfaultfdCtx, modes: Vm, range_: UffdRange) -> int:
    vmas = vmas_in(ctx.mm, range_.start, range_.end)
    if not vmas:
        return -EINVAL
    asynchronous = bool(ctx.features.read() & UffdFeature.WP_ASYNC)
    for vma in vmas:
        if not vma_can_userfault(vma, modes, asynchronous):
            return -EINVAL
        if not vma.vm_flags.read() & Vm.MAYWRITE:
            return -EPERM
        if vma.ctx not in (None, ctx):
            return -EBUSY
    return 0


@kernel_function("fs/userfaultfd.c", label="UFFDIO_UNREGISTER")
def userfaultfd_unregister(ctx: UserfaultfdCtx, ask: Request) -> int:
    """Set a range free and wake its waiters; returns 0 or -errno.

    They are woken before their VMA is locked for writing.
    """
    if not is_initialized(ctx):
        return -EINVAL
    if ask.struct is UserStruct.UNMAPPED:
        return -EFAULT
    err = validate_range(ask.dst, ask.length)
    if err:
        return err
    if not mmget_not_zero(ctx.mm):
        return -ENOMEM
    mmap_write_lock(ctx.mm)
    err = _unregister_locked(ctx, ask.range)
    mmap_write_unlock(ctx.mm)
    return err


def _unregister_locked(ctx: UserfaultfdCtx, range_: UffdRange) -> int:
    vmas = vmas_in(ctx.mm, range_.start, range_.end)
    if not vmas or any(vma.ctx not in (None, ctx) for vma in vmas):
        return -EINVAL
    for vma in vmas:
        if vma.ctx is None:
            continue
        first, last = vma_bounds(vma)
        part = UffdRange(max(first, range_.start), 0)
        part = part._replace(length=min(last, range_.end) - part.start)
        unregister_vma(ctx, vma, part)
    return 0


@kernel_function("fs/userfaultfd.c", quiet=True)
def unregister_vma(ctx: UserfaultfdCtx, vma: VmArea, part: UffdRange) -> None:
    """Wake the waiters of a VMA and set it free; of those that wait for a missing page only.

    That the VMA waits for missing pages is what is asked, not what the waiters wait for.
    """
    if vma.vm_flags.read() & Vm.UFFD_MISSING:
        wake_userfault(ctx, part)
    userfaultfd_clear_vma(vma, part.start, part.end)
