"""A process that makes what live mode can make, prints its processes, and waits to be killed."""

from __future__ import annotations

import os
import time
from contextlib import ExitStack, suppress

from refault.live.abi import Unavailable
from refault.live.perf import FaultSampler
from refault.live.puppet import PAGE, Puppet
from refault.live.serve import PageServer
from refault.live.userfaultfd import Feature, Userfaultfd


def main() -> None:
    """Make them, and wait."""
    with Puppet(2) as puppet, Puppet() as other, ExitStack() as stack:
        children = [puppet.thread().fork()]
        children.append(children[0].fork())
        with suppress(Unavailable):
            uffd, page = Userfaultfd.of(puppet, Feature.EVENT_FORK), puppet.map()
            uffd.register(page, PAGE)
            puppet.thread(1).load(page)
            puppet.thread(1).settled()
            puppet.thread().begin_fork()  # which nobody answers
            puppet.thread().settled()
        with suppress(Unavailable):
            FaultSampler(puppet.thread(1)).resume()
        server = 0
        with suppress(Unavailable):
            serving = PageServer(Userfaultfd.of(other), bytes(PAGE))
            stack.enter_context(serving)
            server = serving.pid
        print(puppet.pid, *(c.pid for c in children), server, flush=True)
        time.sleep(60)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        os._exit(3)
