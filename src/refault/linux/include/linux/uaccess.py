"""Sections without page faults (``include/linux/uaccess.h``)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from refault.linux.kernel.locking import lockdep
from refault.linux.modelled import kernel_function


@kernel_function("include/linux/uaccess.h")
def pagefault_disable() -> None:
    """Begin a section in which a user access that faults fails at once."""
    lockdep.add_pagefault_disabled(1)


@kernel_function("include/linux/uaccess.h")
def pagefault_enable() -> None:
    """End it."""
    lockdep.add_pagefault_disabled(-1)


@contextmanager
def no_page_faults() -> Iterator[None]:
    """Run a section without page faults."""
    pagefault_disable()
    yield
    pagefault_enable()
