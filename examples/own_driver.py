"""A fault handler of a driver of one's own, against the lock contract and any signal."""

import refault
from refault.explore import choose
from refault.linux import Kernel
from refault.linux.drivers.gpu.drm.drm_gem import insert_page
from refault.linux.include.linux.mm import VmOperations
from refault.linux.include.linux.mm_types import FaultFlag, VmFault, VmFaultInfo
from refault.linux.include.uapi.signal import SIGCONT, SIGKILL, SIGSTOP, SIGUSR1
from refault.linux.kernel.locking import mutex as m
from refault.linux.mm.mmap_lock import release_fault_lock
from refault.linux.syscalls import ioctl_in


def fault(lock: m.Mutex, vmf: VmFaultInfo, *, drops: bool) -> VmFault:
    """Wait without mmap_lock first; then with it, and for a program in the kernel killably."""
    if not m.mutex_trylock(lock):
        if not vmf.flags & FaultFlag.TRIED:
            if drops:
                release_fault_lock(vmf)
            if not m.mutex_lock_interruptible(lock):
                m.mutex_unlock(lock)
            return VmFault.RETRY
        user = vmf.flags & FaultFlag.USER
        if (m.mutex_lock_interruptible if user else m.mutex_lock_killable)(lock):
            return VmFault.NOPAGE if user else VmFault.SIGBUS
    ret = insert_page(vmf)
    m.mutex_unlock(lock)
    return ret


@refault.scenario(source="a driver of our own", expect={"": "holds"})
def own_driver(k: Kernel, *, drops: bool = True) -> None:
    """Whatever comes, the program gets its page or dies, and all locks are as they should be."""
    lock = m.Mutex(k.program, "device_lock")
    ops = VmOperations(fault=lambda vmf: fault(lock, vmf, drops=drops), name="own")
    page = k.mm().mmap(file=k.file("device", vm_ops=ops), shared=True)

    @k.thread(process=page, handlers={SIGUSR1: lambda: None})
    def program() -> None:
        assert (page.load() if choose("loads", "calls") == "loads" else ioctl_in(page, 8)) == 0

    @k.thread
    def other() -> None:
        m.mutex_lock(lock)
        m.mutex_unlock(lock)

    @k.thread
    def sender() -> None:
        for sig in choose((SIGUSR1,), (SIGKILL,), (SIGSTOP, SIGCONT), ()):
            k.kill(page, sig)


@refault.scenario(source="a driver of our own", expect={"": "fault contract"})
def own_driver_keeps_the_lock(k: Kernel) -> None:
    """Without the one line that drops mmap_lock, RETRY is a lie."""
    own_driver.story(k, drops=False)
