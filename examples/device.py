"""A driver that maps its memory page by page, and may have to wait for the device."""

from refault.linux import Kernel
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.mm.filemap_fault import filemap_fault
from refault.linux.mm.mmap_lock import release_fault_lock


def device(k: Kernel) -> None:
    """A handler that drops the lock before it says RETRY is called again, and then succeeds."""
    asleep = k.program.cell("the device is asleep", True)

    def fault(vmf: VmFaultInfo) -> Found:
        if asleep.read():
            release_fault_lock(vmf)
            asleep.write(False)
            return Found(VmFault.RETRY)
        return filemap_fault(vmf)

    memory = k.file("device", vm_ops=VmOperations(fault=fault, name="device"))
    page = k.mm().mmap(file=memory, shared=True)

    @k.thread
    def program() -> None:
        assert page.load() == 0
