"""Fault handlers of GPUs: what they answer, with which locks, and to whom it makes a difference."""

from __future__ import annotations

import itertools

import pytest
from tests.linux.stories import does_nothing, found

from refault.explore import choose
from refault.linux import Kernel
from refault.linux.drivers.dma_buf.dma_fence import dma_fence_signal
from refault.linux.drivers.dma_buf.dma_resv import dma_resv_lock, dma_resv_unlock
from refault.linux.drivers.gpu.drm.i915.i915_gem_mman import i915_error_to_vmf_fault
from refault.linux.drivers.gpu.drm.xe.xe_bo import xe_err_to_fault_t
from refault.linux.include.linux.mm import vmf_error
from refault.linux.include.linux.mm_flags import FaultFlag, VmFault, keeps_fault_lock
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi import errno
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1
from refault.linux.kernel.locking.mutex import mutex_lock, mutex_unlock
from refault.linux.mm.mmap_lock import mmap_read_lock, mmap_read_unlock
from refault.scenarios.gpu_drivers import DRIVERS, buffer
from refault.scenarios.gpu_outcomes import Case, Contention, Mode, Sent, outcomes

ALLOW, TRIED, NOWAIT = FaultFlag.ALLOW_RETRY, FaultFlag.TRIED, FaultFlag.RETRY_NOWAIT
FLAGS = (FaultFlag.NONE, ALLOW, ALLOW | TRIED, ALLOW | NOWAIT)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("flags", FLAGS, ids=str)
def test_each_way_through_a_handler_keeps_the_locks(driver: str, flags: FaultFlag) -> None:
    """Contended or busy or neither, with a signal or without: all is given back at the end."""

    def story(k: Kernel) -> None:
        b = buffer(k, DRIVERS[driver], busy=True)
        file = b.page.vma.vm_file
        assert file is not None
        assert file.vm_ops.fault is not None
        handler, mm = file.vm_ops.fault, b.page.mm

        def fault() -> int:
            mmap_read_lock(mm)
            vmf = VmFaultInfo(b.page.vma, b.page.address, flags, b.page.vma.vm_flags.read())
            ret = handler(vmf)
            assert isinstance(ret, VmFault)
            assert ret in (VmFault.NOPAGE, VmFault.RETRY, VmFault.SIGBUS)
            if keeps_fault_lock(flags, ret):
                mmap_read_unlock(mm)
            return 0

        @k.thread(process=b.process, handlers={SIGUSR1: lambda: None})
        def program() -> None:
            k.syscall(fault)

        @k.thread
        def other() -> None:
            if choose("the buffer", "the device") == "the buffer":
                dma_resv_lock(b.obj.resv)
                dma_resv_unlock(b.obj.resv)
            else:
                mutex_lock(b.obj.dev_mutex)
                mutex_unlock(b.obj.dev_mutex)

        @k.thread
        def gpu() -> None:
            dma_fence_signal(b.obj.resv.fence)

        @k.thread
        def sender() -> None:
            if choose("a signal", "none") == "a signal":
                k.kill(b.process, choose(SIGUSR1, SIGKILL))

    assert found(story) == "holds"


def test_a_reservation_that_is_not_given_back_is_found() -> None:
    def story(k: Kernel) -> None:
        page = buffer(k, DRIVERS["TTM"]).page

        @k.thread
        def program() -> None:
            page.load()

    assert found(story) == "holds"
    assert found(story, {"dma_resv_unlock": does_nothing}) == "lock imbalance"


@pytest.mark.parametrize("driver", DRIVERS)
def test_what_is_stored_is_loaded_again(driver: str) -> None:
    def story(k: Kernel) -> None:
        page = buffer(k, DRIVERS[driver]).page

        @k.thread
        def program() -> None:
            assert page.load() == 0
            page.store(2)
            assert page.load() == 2

    assert found(story) == "holds"


def test_two_programs_that_fault_at_once_get_one_page() -> None:
    def story(k: Kernel) -> None:
        page = buffer(k, DRIVERS["xe"]).page

        @k.thread
        def one() -> None:
            page.store(1)

        @k.thread
        def other() -> None:
            assert page.load() in (0, 1)

    assert found(story) == "holds"


def test_errors_are_told_as_the_drivers_tell_them() -> None:
    nopage, oom, bus = VmFault.NOPAGE, VmFault.OOM, VmFault.SIGBUS
    table = {
        errno.EINTR: (nopage, nopage, bus),
        errno.ERESTARTSYS: (nopage, nopage, bus),
        errno.EAGAIN: (nopage, nopage, bus),
        errno.EBUSY: (nopage, bus, bus),
        errno.ENOSPC: (nopage, oom, bus),
        errno.ENOMEM: (oom, oom, oom),
        errno.EIO: (bus, bus, bus),
        errno.EHWPOISON: (bus, bus, VmFault.HWPOISON),
    }

    def story(k: Kernel) -> None:
        @k.thread
        def driver() -> None:
            for err, told in table.items():
                said = i915_error_to_vmf_fault(-err), xe_err_to_fault_t(-err), vmf_error(-err)
                assert said == told

    assert found(story) == "holds"


UNTIL_BACK = Contention.UNTIL_BACK


@pytest.mark.parametrize(
    ("driver", "mode", "sent", "come"),
    [
        ("i915", Mode.KERNEL, Sent.HANDLER, "spins for ever"),
        ("i915", Mode.USER, Sent.HANDLER, "ok"),
        ("TTM", Mode.KERNEL, Sent.FATAL, "dies"),
        ("i915 of 4.16", Mode.KERNEL, Sent.FATAL, "spins for ever"),
        ("vmf_error()", Mode.KERNEL, Sent.RESTART, "-EFAULT"),
        ("TTM", Mode.KERNEL, Sent.NOTHING, "sleeps for ever"),
    ],
)
def test_what_comes_of_a_lock_that_waits_for_the_program(
    driver: str, mode: Mode, sent: Sent, come: str
) -> None:
    assert outcomes(Case(driver, mode, sent, UNTIL_BACK)) == (come,)


def test_without_contention_no_driver_heeds_a_signal() -> None:
    modes_and_signals = itertools.product(Mode, (Sent.HANDLER, Sent.STOP))
    for mode, sent in modes_and_signals:
        for driver in ("i915", "vmf_error()"):
            assert outcomes(Case(driver, mode, sent, Contention.NONE)) == ("ok",)
