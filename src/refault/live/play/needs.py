"""What a machine must have for a program to mean there what it means in the model."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

from ..abi import Unavailable

NEEDS: dict[str, Callable[[], None]] = {}


def need(name: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Register a test, which raises ``Unavailable``."""

    def mark(test: Callable[[], None]) -> Callable[[], None]:
        NEEDS[name] = test
        return test

    return mark


def require(names: Iterable[str]) -> None:
    """Raise ``Unavailable`` unless the machine has all of these."""
    for name in names:
        if name not in NEEDS:
            raise Unavailable(f"nobody knows what {name!r} is", f"there is {', '.join(NEEDS)}")
        NEEDS[name]()


@need("kvm")
def _kvm() -> None:
    """A host that runs guests, and lets us."""
    try:
        os.close(os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        raise Unavailable(
            f"/dev/kvm: {error.strerror}", "run on a machine with KVM, as a user who may use it"
        ) from error


@need("kvm emulates real mode")
def _emulates() -> None:
    """A host that cannot run real mode on the CPU: PVM never does, VMX did not always."""
    _kvm()
    intel = Path("/sys/module/kvm_intel/parameters/unrestricted_guest")
    by_hand = Path("/sys/module/kvm_pvm").exists() or (
        intel.exists() and intel.read_text().strip() in ("N", "0")
    )
    if not by_hand:
        raise Unavailable("the CPU runs guests in real mode itself", "PVM emulates them")
