"""Recording which functions a kernel calls: the situations, performed by a puppet.

``main()`` can run in a guest. Of a puppet's threads the second is the *faulter*, the third the
*monitor*, which waits in ``poll(2)`` before the recording begins.

    python -m refault.live.functions.record > mine.json
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .. import operations
from ..abi import Unavailable
from ..kvm import Mode as Guest
from ..kvm import VirtualMachine
from ..puppet import PAGE
from ..slot import Command
from ..userfaultfd import FLAGS, UFFD_USER_MODE_ONLY, Feature, Mode
from .recording import Call, from_answers, recorded
from .recording import dumps as text_of
from .scene import SECONDS, Scene
from .tracer import FunctionTracer

COPIED_BYTES = 100
CUT = 100
"""Calls that are kept of a thread that goes on for ever."""

Situation = Callable[[Scene], list[Call]]
SITUATIONS: dict[str, Situation] = {}
CUTS = frozenset({"signal-in-copy"})


def situation(name: str) -> Callable[[Situation], Situation]:
    """Enter a situation under the name of its story."""

    def enter(performed: Situation) -> Situation:
        SITUATIONS[name] = performed
        return performed

    return enter


def _alone(scene: Scene, act: Callable[[], Command]) -> list[Call]:
    scene.begin()
    act().wait(SECONDS)
    return scene.end()


@situation("first-touch")
def first_touch(scene: Scene) -> list[Call]:
    """Store to a page of memory that is in use elsewhere."""
    page = scene.page()
    return _alone(scene, lambda: scene.faulter.store(page, 1))


@situation("zero-page-read")
def zero_page_read(scene: Scene) -> list[Call]:
    """Load from fresh memory."""
    page = scene.page(fresh=True)
    return _alone(scene, lambda: scene.faulter.load(page))


@situation("zero-page-written")
def zero_page_written(scene: Scene) -> list[Call]:
    """Store where the zero page is."""
    page = scene.page(fresh=True)
    scene.faulter.load(page).wait(SECONDS)
    return _alone(scene, lambda: scene.faulter.store(page, 1))


@situation("cow-copied")
def cow_copied(scene: Scene) -> list[Call]:
    """Store to a page that a child shares."""
    page = scene.page()
    scene.main.store(page, 1).wait(SECONDS)
    scene.main.fork()
    scene.warm()
    return _alone(scene, lambda: scene.faulter.store(page, 2))


@situation("cow-reused")
def cow_reused(scene: Scene) -> list[Call]:
    """Store to a page that a child has shared."""
    page = scene.page()
    scene.main.store(page, 1).wait(SECONDS)
    child = scene.main.fork()
    child.kill(signal.SIGKILL)
    scene.puppet.wait_until(lambda: child.ended is not None, SECONDS)
    scene.warm()
    return _alone(scene, lambda: scene.faulter.store(page, 2))


def _served(scene: Scene, page: int, act: Callable[[], Command]) -> list[Call]:
    """Let the faulter ``act`` on a missing page, and the monitor fill it."""
    scene.poll()
    scene.begin()
    command = act()
    scene.read()
    scene.copy(page)
    command.wait(SECONDS)
    return scene.end()


@situation("uffd-missing")
def uffd_missing(scene: Scene) -> list[Call]:
    """Load from a missing page."""
    page = scene.page()
    scene.served(page)
    return _served(scene, page, lambda: scene.faulter.load(page))


@situation("uffd-missing-shmem")
def uffd_missing_shmem(scene: Scene) -> list[Call]:
    """Load from a missing page of shared memory."""
    page = scene.puppet.map(1, shared=True)
    scene.served(page)
    return _served(scene, page, lambda: scene.faulter.load(page))


@situation("uffd-wp")
def uffd_wp(scene: Scene) -> list[Call]:
    """Store to a protected page."""
    page = scene.page()
    scene.main.store(page, 1).wait(SECONDS)
    uffd = scene.served(page, Mode.MISSING | Mode.WP, Feature.PAGEFAULT_FLAG_WP)
    uffd.writeprotect(page, PAGE)
    scene.poll()
    scene.begin()
    command = scene.faulter.store(page, 2)
    scene.read()
    scene.unprotect(page)
    command.wait(SECONDS)
    return scene.end()


@situation("uffd-in-gup")
def uffd_in_gup(scene: Scene) -> list[Call]:
    """``process_vm_readv(2)`` of a missing page."""
    page = scene.page(fresh=True)
    scene.served(page)
    to, pid = scene.puppet.write_scratch(0, bytes(8)), scene.puppet.pid
    return _served(scene, page, lambda: operations.vm_read(scene.faulter, pid, page, to, 8))


@situation("uffd-in-copy")
def uffd_in_copy(scene: Scene) -> list[Call]:
    """``write(2)`` to a pipe from a missing page."""
    page, pipe = scene.page(fresh=True), operations.pipe(scene.main)
    scene.served(page)
    act = lambda: operations.write(scene.faulter, pipe.writer, page, COPIED_BYTES)  # noqa: E731
    return _served(scene, page, act)


@situation("uffd-in-populate")
def uffd_in_populate(scene: Scene) -> list[Call]:
    """``MADV_POPULATE_READ`` of a missing page."""
    page, advice = scene.page(fresh=True), operations.Advice.POPULATE_READ
    scene.served(page)
    return _served(scene, page, lambda: operations.advise(scene.faulter, page, PAGE, advice))


@situation("uffd-refuses-copy")
def uffd_refuses_copy(scene: Scene) -> list[Call]:
    """``write(2)`` from a missing page of a userfaultfd for user mode only."""
    page, pipe = scene.page(), operations.pipe(scene.main)
    scene.served(page, flags=FLAGS | UFFD_USER_MODE_ONLY)
    return _alone(scene, lambda: operations.write(scene.faulter, pipe.writer, page, COPIED_BYTES))


@situation("signal-in-fault-plain")
def signal_in_fault(scene: Scene) -> list[Call]:
    """A signal during a load of a missing page."""
    page = scene.page(fresh=True)
    scene.handle()
    scene.served(page)
    scene.poll()
    scene.begin()
    command = scene.faulter.load(page)
    scene.read()
    scene.kill()
    scene.poll()
    scene.read()
    scene.copy(page)
    command.wait(SECONDS)
    return scene.end()


@situation("signal-in-copy")
def signal_in_copy(scene: Scene) -> list[Call]:
    """A signal during ``write(2)`` from a missing page; the faulter's first calls."""
    page, pipe = scene.page(fresh=True), operations.pipe(scene.main)
    scene.handle()
    scene.served(page)
    scene.poll()
    scene.begin()
    command = operations.write(scene.faulter, pipe.writer, page, COPIED_BYTES)
    scene.read()
    scene.kill()
    scene.faulter.settled(0.5)
    calls = scene.end()
    scene.copy(page)
    command.wait(SECONDS)
    return calls[:CUT]


def _guest(scene: Scene, *, kicked: bool) -> list[Call]:
    vm = VirtualMachine(scene.puppet, Guest.REAL)
    scene.main.store(vm.page, 1).wait(SECONDS)
    operations.advise(scene.main, vm.page, PAGE, operations.Advice.DONTNEED).wait(SECONDS)
    scene.handle()
    scene.served(vm.page)
    scene.poll()
    scene.begin()
    command = vm.run(scene.faulter)
    scene.read()
    if kicked:
        scene.kill()
        scene.faulter.settled(1.0)
    if not command.done:
        scene.copy(vm.page)
    command.wait(SECONDS)
    return scene.end()


@situation("uffd-in-guest")
def uffd_in_guest(scene: Scene) -> list[Call]:
    """A guest of KVM loads a missing page."""
    return _guest(scene, kicked=False)


@situation("signal-in-guest-plain")
def signal_in_guest(scene: Scene) -> list[Call]:
    """A signal while a guest of KVM waits for a missing page."""
    return _guest(scene, kicked=True)


def main(given: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the kernel is, and then for each situation its calls, or why there are none.

    ``given["asked"]`` are the functions to trace, ``given["situations"]`` what to perform, all
    that there are if it is not given.
    """
    name = os.uname()
    with FunctionTracer(given["asked"]) as tracer:
        yield {
            "kernel": name.release,
            "built": name.version,
            "not_traceable": list(tracer.not_traceable),
        }
        for wanted in given.get("situations") or SITUATIONS:
            scene = Scene(tracer)
            try:
                calls = SITUATIONS[wanted](scene)
                cut = {"cut": True} if wanted in CUTS else {}
                yield {"situation": wanted, "calls": list(map(str, calls)), **cut}
            except Unavailable as error:
                yield {"situation": wanted, "why": error.message}
            finally:
                scene.close()


def record() -> int:
    """Record on the running kernel, and write a data file to standard output."""
    asked = next(iter(recorded().values())).asked
    try:
        found = from_answers(main({"asked": asked}), asked, "the running machine")
    except Unavailable as error:
        print(f"{error.message}; {error.remedy}", file=sys.stderr)
        return 2
    sys.stdout.write(text_of(found))
    return 0


if __name__ == "__main__":
    sys.exit(record())
