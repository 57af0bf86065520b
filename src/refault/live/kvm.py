"""A virtual machine with one CPU that loads one byte of a page, by ``/dev/kvm``.

The guest runs in long mode at the lowest privilege, so that its accesses are translated by KVM and
not emulated: it loads a byte from the page at ``PAGE_GPA`` and stores it where there is no memory,
which ends ``KVM_RUN`` with an MMIO exit that holds the byte.
"""

from __future__ import annotations

import errno
import os
import struct
from typing import NamedTuple

from .abi import Nr, Unavailable, ioctl_none, ioctl_read, ioctl_read_write
from .puppet import PAGE, Command, Puppet, PuppetThread

KVMIO = 0xAE
CREATE_VM = ioctl_none(KVMIO, 0x01)
GET_VCPU_MMAP_SIZE = ioctl_none(KVMIO, 0x04)
CREATE_VCPU = ioctl_none(KVMIO, 0x41)
RUN = ioctl_none(KVMIO, 0x80)
SET_USER_MEMORY_REGION = ioctl_read_write(KVMIO, 0x46, 32) & ~(2 << 30)
GET_SREGS = ioctl_read(KVMIO, 0x83, 312)
SET_SREGS = ioctl_read_write(KVMIO, 0x84, 312) & ~(2 << 30)
GET_SUPPORTED_CPUID = ioctl_read_write(KVMIO, 0x05, 8)
SET_CPUID2 = ioctl_read_write(KVMIO, 0x90, 8) & ~(2 << 30)
SET_REGS = ioctl_read_write(KVMIO, 0x82, 144) & ~(2 << 30)
GET_REGS = ioctl_read(KVMIO, 0x81, 144)

EXIT_MMIO, EXIT_INTR = 6, 10

TABLES_GPA, CODE_GPA = 0x1000, 0x5000
PAGE_GPA = 0x100000
MMIO_GPA = 0x180000

_CPUID_ENTRIES, _CPUID_SIZE = 256, 40

_CODE = bytes.fromhex("8a03 8807 ebfe")
"""``mov al, [rbx]; mov [rdi], al; jmp .``."""

_PRESENT_WRITE_USER, _LARGE = 7, 0x80


class Exit(NamedTuple):
    """How ``KVM_RUN`` returned: 0 or ``-errno``, the exit reason, and the byte of an MMIO exit."""

    result: int
    reason: int
    byte: int

    def __str__(self) -> str:
        if self.result:
            return f"-{errno.errorcode[-self.result]}"
        return {EXIT_MMIO: f"MMIO {self.byte}", EXIT_INTR: "INTR"}.get(
            self.reason, f"exit {self.reason}"
        )


class VirtualMachine:
    """A virtual machine in a puppet; ``page`` is the address of the page that the guest loads."""

    def __init__(self, puppet: Puppet) -> None:
        self._puppet = puppet
        self._main = puppet.thread()
        self.page = puppet.map()
        self._kvm = self._open()
        self._vm = self._main.call(Nr.IOCTL, self._kvm, CREATE_VM, 0)
        self._memory(0, 0, puppet.map(8, shared=True), 8, self._image())
        self._memory(1, PAGE_GPA, self.page, 1)
        self._vcpu = self._main.call(Nr.IOCTL, self._vm, CREATE_VCPU, 0)
        self._run = self._main.call(
            Nr.MMAP,
            0,
            self._main.call(Nr.IOCTL, self._kvm, GET_VCPU_MMAP_SIZE, 0),
            3,
            1,
            self._vcpu,
            0,
        )
        self._processor()
        self._registers()

    def _open(self) -> int:
        path = self._puppet.write_scratch(0, b"/dev/kvm\0")
        try:
            return self._main.call(Nr.OPEN, path, os.O_RDWR | os.O_CLOEXEC)
        except OSError as error:
            raise Unavailable(
                f"/dev/kvm: {error.strerror}", "run on a machine with KVM, as a user who may use it"
            ) from error

    def _memory(self, slot: int, gpa: int, host: int, pages: int, data: bytes = b"") -> None:
        if data:
            self._puppet.poke(host, data)
        region = struct.pack("=2I3Q", slot, 0, gpa, pages * PAGE, host)
        address = self._puppet.write_scratch(0, region)
        self._main.call(Nr.IOCTL, self._vm, SET_USER_MEMORY_REGION, address)

    @staticmethod
    def _image() -> bytes:
        """Page tables that map the first 2 MiB of the guest to themselves, and the code."""
        image = bytearray(8 * PAGE)
        for level in range(3):
            here, below = TABLES_GPA + level * PAGE, TABLES_GPA + (level + 1) * PAGE
            entry = _PRESENT_WRITE_USER | (_LARGE if level == 2 else below)
            struct.pack_into("=Q", image, here, entry)
        image[CODE_GPA : CODE_GPA + len(_CODE)] = _CODE
        return bytes(image)

    def _processor(self) -> None:
        """Give the guest all that KVM can: newer ones refuse long mode to a CPU that lacks it."""
        head = struct.pack("=2I", _CPUID_ENTRIES, 0)
        address = self._puppet.write_scratch(0, head + bytes(_CPUID_ENTRIES * _CPUID_SIZE))
        self._main.call(Nr.IOCTL, self._kvm, GET_SUPPORTED_CPUID, address)
        self._main.call(Nr.IOCTL, self._vcpu, SET_CPUID2, address)

    def _registers(self) -> None:
        room = self._puppet.write_scratch(0, bytes(312))
        self._main.call(Nr.IOCTL, self._vcpu, GET_SREGS, room)
        sregs = bytearray(self._puppet.read_scratch(0, 312))
        code = struct.pack("=QIH8B2x", 0, 0xFFFFFFFF, 0x33, 11, 1, 3, 0, 1, 1, 1, 0)
        data = struct.pack("=QIH8B2x", 0, 0xFFFFFFFF, 0x2B, 3, 1, 3, 1, 1, 0, 1, 0)
        sregs[0:24] = code
        for index in range(1, 6):
            sregs[24 * index : 24 * (index + 1)] = data
        control = 24 * 8 + 16 * 2
        struct.pack_into("=5Q", sregs, control, 0x80050033, 0, TABLES_GPA, 0x20, 0)
        struct.pack_into("=Q", sregs, control + 40, 0x500)
        self._puppet.write_scratch(0, bytes(sregs))
        self._main.call(Nr.IOCTL, self._vcpu, SET_SREGS, room)
        registers = [0] * 18
        registers[1], registers[5] = PAGE_GPA, MMIO_GPA
        registers[16], registers[17] = CODE_GPA, 2
        self._puppet.write_scratch(0, struct.pack("=18Q", *registers))
        self._main.call(Nr.IOCTL, self._vcpu, SET_REGS, room)

    def run(self, thread: PuppetThread) -> Command:
        """Enter the guest; ``exit`` reads how it came back."""
        return thread.syscall(Nr.IOCTL, self._vcpu, RUN, 0)

    def exit(self, result: int) -> Exit:
        """What the run area says after ``KVM_RUN`` returned ``result``."""
        area = self._puppet.peek(self._run, 64)
        (reason,) = struct.unpack_from("=I", area, 8)
        return Exit(result, reason, area[40] if reason == EXIT_MMIO else 0)
