"""What a guest is: its kernel, its userfaultfd, its KVM, and whether a puppet works there."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from refault.live.abi import Nr, Unavailable
from refault.live.kvm import VirtualMachine
from refault.live.puppet import PAGE, Puppet
from refault.live.userfaultfd import Userfaultfd

BYTE = 0x5A


def main(given: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Tell of the kernel, of the features of userfaultfd, and of what a puppet and a vCPU loaded.

    ``given["byte"]`` is what they find in their pages. What a kernel has not is None, with ``why``.
    """
    byte = int(given.get("byte", BYTE))
    name = os.uname()
    yield {"release": name.release, "version": name.version, "cpus": os.cpu_count()}
    yield {"userfaultfd": _features()}
    with Puppet(2) as puppet:
        try:
            yield {"puppet": _filled_by_monitor(puppet, byte)}
        except Unavailable as error:
            yield {"puppet": None, "why": error.message}
        try:
            yield {"kvm": _loaded_by_vcpu(puppet, byte)}
        except Unavailable as error:
            yield {"kvm": None, "why": error.message}


def _features() -> int | None:
    try:
        with Userfaultfd.open() as uffd:
            return int(uffd.api())
    except Unavailable:
        return None


def _filled_by_monitor(puppet: Puppet, byte: int) -> int:
    """A thread of the puppet loads from a page that is missing, and is served by us."""
    page, thread = puppet.map(), puppet.thread(1)
    uffd = Userfaultfd(puppet.take(puppet.thread().call(Nr.USERFAULTFD, os.O_NONBLOCK)))
    uffd.api()
    uffd.register(page, PAGE)
    load = thread.load(page)
    uffd.read(5.0)
    uffd.copy(page, puppet.write_scratch(PAGE, bytes([byte]) * PAGE), PAGE)
    return load.wait()


def _loaded_by_vcpu(puppet: Puppet, byte: int) -> str:
    """A virtual CPU loads from its page; returns how ``KVM_RUN`` came back."""
    machine = VirtualMachine(puppet)
    puppet.poke(machine.page, bytes([byte]))
    return str(machine.exit(machine.run(puppet.thread(1)).wait(20.0)))
