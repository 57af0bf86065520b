"""A process without rights that asks for everything, and prints what it gets as lines of JSON."""

from __future__ import annotations

import ctypes
import json
import os
from collections.abc import Callable

from refault.live.abi import Unavailable
from refault.live.kvm import VirtualMachine
from refault.live.perf import FaultCounter, FaultSampler
from refault.live.puppet import PAGE, Puppet
from refault.live.tracefs import Instance
from refault.live.userfaultfd import FLAGS, UFFD_USER_MODE_ONLY, Userfaultfd, open_device

NOBODY, PR_SET_DUMPABLE = 65534, 4


def tell(name: str, ask: Callable[[], object]) -> None:
    """Print what came of a question: ``ok``, the remedy, or an error that should not be."""
    try:
        said = f"ok {ask()}"
    except Unavailable as error:
        said = f"Unavailable: {error.message}: {error.remedy}"
    except Exception as error:
        said = f"{type(error).__name__}: {error}"
    print(json.dumps([name, said]))


def sleeps(puppet: Puppet) -> str:
    """Let a thread wait for a page, of user mode's faults only."""
    uffd, page = Userfaultfd.of(puppet, flags=FLAGS | UFFD_USER_MODE_ONLY), puppet.map()
    uffd.register(page, PAGE)
    load = puppet.thread(1).load(page)
    settled = puppet.thread(1).settled()
    uffd.zeropage(page, PAGE)
    return f"{settled.state} {load.wait()}"


def main() -> None:
    """Give up all rights, and ask."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        ctypes.CDLL(None).prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    with Puppet(2) as puppet:
        thread = puppet.thread(1)
        tell("fork", lambda: thread.fork().died())
        tell("sleeps", lambda: sleeps(puppet))
        tell("userfaultfd", lambda: Userfaultfd.of(puppet))
        tell("device", lambda: os.close(open_device()))
        tell("counter", lambda: FaultCounter(thread).close())
        tell("sampler", lambda: FaultSampler(thread, kernel=False).close())
        tell("trace", lambda: Instance().close())
        tell("kvm", lambda: VirtualMachine(puppet))
        tell("stack", lambda: thread.proc.stack)


if __name__ == "__main__":
    main()
