"""A virtual machine with one or two CPUs that load and store one byte of a page, by ``/dev/kvm``.

What they run is in ``guest.py``. Where the page is missing the host faults it in, within
``KVM_RUN``: by GUP if the CPU ran into it, by a plain copy if the emulator did.
"""

from __future__ import annotations

import errno
import os
import struct
from collections.abc import Iterable
from typing import NamedTuple

from .abi import Nr, Unavailable, ioctl_none, ioctl_read, ioctl_read_write, ioctl_write
from .guest import (
    MEMORY_PAGES,
    PAGE_GPA,
    REGS,
    SREGS,
    Mode,
    Registers,
    image,
    registers,
    system_registers,
)
from .puppet import PAGE, Command, Puppet, PuppetThread

__all__ = ["Exit", "Mode", "Registers", "VirtualMachine"]

KVMIO = 0xAE
CREATE_VM = ioctl_none(KVMIO, 0x01)
GET_VCPU_MMAP_SIZE = ioctl_none(KVMIO, 0x04)
CREATE_VCPU = ioctl_none(KVMIO, 0x41)
RUN = ioctl_none(KVMIO, 0x80)
SET_USER_MEMORY_REGION = ioctl_write(KVMIO, 0x46, 32)
GET_REGS = ioctl_read(KVMIO, 0x81, REGS)
SET_REGS = ioctl_write(KVMIO, 0x82, REGS)
GET_SREGS = ioctl_read(KVMIO, 0x83, SREGS)
SET_SREGS = ioctl_write(KVMIO, 0x84, SREGS)
GET_SUPPORTED_CPUID = ioctl_read_write(KVMIO, 0x05, 8)
SET_CPUID2 = ioctl_write(KVMIO, 0x90, 8)
SET_SIGNAL_MASK = ioctl_write(KVMIO, 0x8B, 4)

VCPUS = 2
EXIT_MMIO, EXIT_SHUTDOWN, EXIT_FAIL_ENTRY, EXIT_INTR, EXIT_INTERNAL_ERROR = 6, 8, 9, 10, 17
_NAMES = {
    EXIT_SHUTDOWN: "SHUTDOWN",
    EXIT_FAIL_ENTRY: "FAIL_ENTRY",
    EXIT_INTR: "INTR",
    EXIT_INTERNAL_ERROR: "INTERNAL_ERROR",
}
_IMMEDIATE_EXIT, _REASON, _MMIO_DATA = 1, 8, 40
_CPUID_ENTRIES, _CPUID_SIZE = 256, 40


class Exit(NamedTuple):
    """How ``KVM_RUN`` returned: 0 or ``-errno``, the exit reason, and the byte of an MMIO exit."""

    result: int
    reason: int
    byte: int

    def __str__(self) -> str:
        if self.result:
            return f"-{errno.errorcode[-self.result]}"
        if self.reason == EXIT_MMIO:
            return f"MMIO {self.byte}"
        return _NAMES.get(self.reason, f"exit {self.reason}")


class _Vcpu(NamedTuple):
    fd: int
    run: int


class VirtualMachine:
    """A virtual machine in a puppet; ``page`` is the address of the page that the guest uses.

    That is mapped for the purpose if there is none. ``Unavailable`` where we cannot have KVM.
    """

    def __init__(
        self, puppet: Puppet, mode: Mode = Mode.USER, *, vcpus: int = 1, page: int = 0
    ) -> None:
        if not 1 <= vcpus <= VCPUS:
            raise ValueError(f"a virtual machine has 1 to {VCPUS} CPUs")
        self.mode = mode
        self._puppet = puppet
        self._main = puppet.thread()
        self.page = page or puppet.map()
        self._kvm = self._open()
        self._vm = self._main.call(Nr.IOCTL, self._kvm, CREATE_VM, 0)
        memory = puppet.map(MEMORY_PAGES, shared=True)
        puppet.poke(memory, image())
        self._memory(0, 0, memory, MEMORY_PAGES)
        self._memory(1, PAGE_GPA, self.page, 1)
        self._vcpus = [self._vcpu(index) for index in range(vcpus)]

    def _open(self) -> int:
        path = self._main.slot.room(b"/dev/kvm\0")
        try:
            return self._main.call(Nr.OPEN, path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(
                f"/dev/kvm: {error.strerror}", "run on a machine with KVM, as a user who may use it"
            ) from error

    def _memory(self, slot: int, gpa: int, host: int, pages: int) -> None:
        region = struct.pack("=2I3Q", slot, 0, gpa, pages * PAGE, host)
        room = self._main.slot.room(region)
        self._main.call(Nr.IOCTL, self._vm, SET_USER_MEMORY_REGION, room)

    def _vcpu(self, index: int) -> _Vcpu:
        main = self._main
        fd = main.call(Nr.IOCTL, self._vm, CREATE_VCPU, index)
        size = main.call(Nr.IOCTL, self._kvm, GET_VCPU_MMAP_SIZE, 0)
        run = main.call(Nr.MMAP, 0, size, 3, 1, fd, 0)
        self._processor(fd)
        room = self._puppet.map()
        main.call(Nr.IOCTL, fd, GET_SREGS, room)
        sregs = self._puppet.peek(room, SREGS)
        self._puppet.poke(room, system_registers(self.mode, sregs))
        main.call(Nr.IOCTL, fd, SET_SREGS, room)
        main.call(Nr.MUNMAP, room, PAGE)
        self._set(main, fd, registers(self.mode, None))
        return _Vcpu(fd, run)

    def _processor(self, fd: int) -> None:
        """Give the guest all that KVM can: newer ones refuse long mode to a CPU that lacks it."""
        pages = -(-(8 + _CPUID_ENTRIES * _CPUID_SIZE) // PAGE)
        room = self._puppet.map(pages)
        self._puppet.poke(room, struct.pack("=2I", _CPUID_ENTRIES, 0))
        self._main.call(Nr.IOCTL, self._kvm, GET_SUPPORTED_CPUID, room)
        self._main.call(Nr.IOCTL, fd, SET_CPUID2, room)
        self._main.call(Nr.MUNMAP, room, pages * PAGE)

    @staticmethod
    def _set(thread: PuppetThread, fd: int, values: Registers) -> None:
        thread.call(Nr.IOCTL, fd, SET_REGS, thread.slot.room(values.pack()))

    def run(
        self, thread: PuppetThread, vcpu: int = 0, *, gate: bool = False, delay: int = 0
    ) -> Command:
        """Enter the guest, which goes on where it was; ``exit`` reads how it came back."""
        return thread.syscall(Nr.IOCTL, self._vcpus[vcpu].fd, RUN, 0, gate=gate, delay=delay)

    def load(self, thread: PuppetThread, vcpu: int = 0) -> Command:
        """Enter the guest, which begins to load the page's first byte."""
        self.begin(thread, None, vcpu)
        return self.run(thread, vcpu)

    def store(self, thread: PuppetThread, value: int, vcpu: int = 0) -> Command:
        """Enter the guest, which begins to store a byte to the page."""
        self.begin(thread, value, vcpu)
        return self.run(thread, vcpu)

    def begin(self, thread: PuppetThread, store: int | None, vcpu: int = 0) -> None:
        """Let the guest begin, when it is entered, to load the byte or to store one."""
        self.immediate_exit(True, vcpu)
        self.run(thread, vcpu).wait()  # completes the MMIO exit before, if there was one
        self.immediate_exit(False, vcpu)
        self._set(thread, self._vcpus[vcpu].fd, registers(self.mode, store))

    def immediate_exit(self, on: bool, vcpu: int = 0) -> None:
        """Let ``KVM_RUN`` return ``EINTR`` before it enters the guest, or no longer."""
        self._puppet.poke(self._vcpus[vcpu].run + _IMMEDIATE_EXIT, bytes([on]))

    def block(self, thread: PuppetThread, signals: Iterable[int], vcpu: int = 0) -> None:
        """Set the signals that are blocked in ``KVM_RUN``, in place of the thread's own."""
        mask = sum(1 << number - 1 for number in signals)
        room = thread.slot.room(struct.pack("=IQ", 8, mask))
        thread.call(Nr.IOCTL, self._vcpus[vcpu].fd, SET_SIGNAL_MASK, room)

    def registers(self, thread: PuppetThread, vcpu: int = 0) -> Registers:
        """The guest's registers, of a vCPU that does not run."""
        room = thread.slot.room(bytes(REGS))
        thread.call(Nr.IOCTL, self._vcpus[vcpu].fd, GET_REGS, room)
        return Registers.unpack(thread.slot.look_at(room, REGS))

    def exit(self, result: int, vcpu: int = 0) -> Exit:
        """What the run area says after ``KVM_RUN`` returned ``result``."""
        area = self._puppet.peek(self._vcpus[vcpu].run, 64)
        (reason,) = struct.unpack_from("=I", area, _REASON)
        return Exit(result, reason, area[_MMIO_DATA] if reason == EXIT_MMIO else 0)
