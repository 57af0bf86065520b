"""All architectures: importing this module makes their entries known."""

from __future__ import annotations

from importlib import import_module

from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.entry import ENTRIES, PageFault

_MODULES = {
    "hexagon": "hexagon.mm.vm_fault",
    "sparc32": "sparc.mm.fault_32",
    "sparc64": "sparc.mm.fault_64",
    "um": "um.kernel.trap",
}

for _arch in ARCHITECTURES:
    import_module(f"refault.linux.arch.{_MODULES.get(_arch, f'{_arch}.mm.fault')}")


def entries() -> dict[str, PageFault]:
    """Return the entry of each architecture, those with the lock of a single VMA first."""
    return {arch: ENTRIES[arch].entry for arch in ARCHITECTURES}


def entry(arch: str) -> PageFault:
    """Return the entry of an architecture."""
    return ENTRIES[arch].entry
