"""What a virtual CPU runs: a few bytes of code, page tables, and the registers to begin with.

The code loads or stores one byte of the page at ``PAGE_GPA`` and then stores it where there is no
memory, which ends ``KVM_RUN`` with an MMIO exit that holds the byte; then it begins anew.
"""

from __future__ import annotations

import struct
from enum import Enum
from typing import NamedTuple

PAGE = 4096
MEMORY_PAGES = 8
TABLES_GPA, CODE_GPA = 0x1000, 0x5000
PAGE_GPA, MMIO_GPA = 0x10000, 0x20000
SREGS, REGS = 312, 144
_CONTROL = 24 * 8 + 16 * 2
_PRESENT_WRITE_USER, _LARGE = 7, 0x80
_STORE = 0x40
_CODE16 = 0x80


class Mode(Enum):
    """How the guest addresses memory.

    Not every host treats them alike: a host that cannot run a mode directly emulates its
    instructions, and then it is the emulator that reads and writes the guest's memory.
    """

    REAL = "real mode"
    KERNEL = "long mode, highest privilege"
    USER = "long mode, lowest privilege"


class Registers(NamedTuple):
    """``struct kvm_regs``."""

    rax: int = 0
    rbx: int = 0
    rcx: int = 0
    rdx: int = 0
    rsi: int = 0
    rdi: int = 0
    rsp: int = 0
    rbp: int = 0
    r8: int = 0
    r9: int = 0
    r10: int = 0
    r11: int = 0
    r12: int = 0
    r13: int = 0
    r14: int = 0
    r15: int = 0
    rip: int = 0
    rflags: int = 2

    def pack(self) -> bytes:
        """Return the struct's bytes."""
        return struct.pack("=18Q", *self)

    @classmethod
    def unpack(cls, data: bytes) -> Registers:
        """Return what the bytes say."""
        return cls(*struct.unpack("=18Q", data))


def image() -> bytes:
    """Page tables that map the first 2 MiB of the guest to themselves, and the code."""
    memory = bytearray(MEMORY_PAGES * PAGE)
    for level in range(3):
        here, below = TABLES_GPA + level * PAGE, TABLES_GPA + (level + 1) * PAGE
        entry = _PRESENT_WRITE_USER | (_LARGE if level == 2 else below)
        struct.pack_into("=Q", memory, here, entry)
    for offset, code in (
        (0, "8a03 8807 ebfa"),  # mov al, [rbx]; mov [rdi], al; jmp back
        (_STORE, "880b 880f ebfa"),  # mov [rbx], cl; mov [rdi], cl; jmp back
        (_CODE16, "8a07 268805 ebf9"),  # mov al, [bx]; mov es:[di], al; jmp back
        (_CODE16 + _STORE, "880f 26880d ebf9"),  # mov [bx], cl; mov es:[di], cl; jmp back
    ):
        data = bytes.fromhex(code)
        memory[CODE_GPA + offset : CODE_GPA + offset + len(data)] = data
    return bytes(memory)


def registers(mode: Mode, store: int | None) -> Registers:
    """Return registers to load the page's first byte, or to store one."""
    code = CODE_GPA + (0 if store is None else _STORE)
    if mode is Mode.REAL:
        return Registers(rcx=store or 0, rip=code + _CODE16)
    return Registers(rbx=PAGE_GPA, rdi=MMIO_GPA, rcx=store or 0, rip=code)


def system_registers(mode: Mode, sregs: bytes) -> bytes:
    """Return ``struct kvm_sregs`` for a mode, made of what a new vCPU has."""
    changed = bytearray(sregs)
    if mode is Mode.REAL:
        for index, base in enumerate((0, PAGE_GPA, MMIO_GPA)):  # cs, ds, es
            struct.pack_into("=QIH", changed, 24 * index, base, 0xFFFF, base >> 4)
        return bytes(changed)
    ring = 3 if mode is Mode.USER else 0
    code = struct.pack("=QIH8B2x", 0, 0xFFFFFFFF, 0x30 | ring, 11, 1, ring, 0, 1, 1, 1, 0)
    data = struct.pack("=QIH8B2x", 0, 0xFFFFFFFF, 0x28 | ring, 3, 1, ring, 1, 1, 0, 1, 0)
    changed[: 24 * 6] = code + data * 5
    struct.pack_into("=5Q", changed, _CONTROL, 0x80050033, 0, TABLES_GPA, 0x20, 0)
    struct.pack_into("=Q", changed, _CONTROL + 40, 0x500)
    return bytes(changed)
