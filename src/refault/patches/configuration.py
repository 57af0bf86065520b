"""What a kernel can be built without."""

from __future__ import annotations

from refault.patches.patch import Patch


def _no() -> bool:
    return False


memory_failure = Patch(
    name="memory_failure",
    title="CONFIG_MEMORY_FAILURE",
    kind="configuration",
    source="mm/Kconfig; without it do_sigbus() of x86, powerpc and parisc does not know poison, "
    "and says BUS_ADRERR of it",
    replaces={"config_memory_failure": _no},
)
