"""Which memory a userfaultfd is for (``fs/userfaultfd.c``: register and unregister)."""

from __future__ import annotations

from refault.explore import note
from refault.linux.fs.userfaultfd.ctx import UserfaultfdCtx
from refault.linux.fs.userfaultfd.ioctl import Request, is_initialized, validate_range
from refault.linux.fs.userfaultfd.wake import wake_userfault
from refault.linux.include.linux.mm_types import Vm, VmArea
from refault.linux.include.uapi.errno import EBUSY, EFAULT, EINVAL, ENOMEM, EPERM, errno_name
from refault.linux.include.uapi.userfaultfd import RegisterMode, UffdFeature, UffdRange, UserStruct
from refault.linux.kernel.fork import mmget_not_zero
from refault.linux.mm.mmap_lock import mmap_write_lock, mmap_write_unlock
from refault.linux.mm.userfaultfd.kind import can_userfault
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


@kernel_function("include/linux/userfaultfd_k.h", quiet=True)
def vma_can_userfault(vma: VmArea, modes: Vm, asynchronous: bool) -> bool:
    """Tell whether this kind of memory can be registered so.

    Any can be for asynchronous write-protection alone.
    """
    return (asynchronous and modes == Vm.UFFD_WP) or can_userfault(vma, modes)


def _register_label(ctx: UserfaultfdCtx, ask: Request, mode: RegisterMode) -> str:
    return f"UFFDIO_REGISTER({mode.name})"


@kernel_function("fs/userfaultfd.c", label=_register_label)
def userfaultfd_register(ctx: UserfaultfdCtx, ask: Request, mode: RegisterMode) -> int:
    """Register a range for these kinds of faults; returns 0 or -errno.

    All VMAs are looked at before the first is changed. The registration stands even where the
    answer, which ioctls can be used on the range, cannot be written.
    """
    if not is_initialized(ctx):
        return -EINVAL
    if ask.struct is UserStruct.UNMAPPED:
        return -EFAULT
    modes = register_flags(mode)
    if not modes:
        return -EINVAL
    err = validate_range(ask.dst, ask.length)
    if err:
        return err
    if not mmget_not_zero(ctx.mm):
        return -ENOMEM
    mmap_write_lock(ctx.mm)
    err = _may_register(ctx, modes, ask.range)
    if not err:
        userfaultfd_register_range(ctx, modes, ask.range.start, ask.range.end)
    mmap_write_unlock(ctx.mm)
    if err:
        note(errno_name(err))
    return err or (-EFAULT if ask.struct is UserStruct.READ_ONLY else 0)


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
