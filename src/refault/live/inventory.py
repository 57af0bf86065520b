"""What a machine has for experiments with page faults: looked at, not asked of version strings."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from .abi import Nr, Unavailable, name_of, syscall
from .kvm import VirtualMachine
from .perf import FaultCounter
from .proc import Thread, page_frame
from .puppet import Puppet
from .tracefs import Instance
from .userfaultfd import UFFD_USER_MODE_ONLY, Feature, Userfaultfd, open_device

UNPRIVILEGED = Path("/proc/sys/vm/unprivileged_userfaultfd")
_BYTE = 0x5A


def system_call() -> str:
    """Whether ``userfaultfd(2)`` opens one for us that sees faults of the kernel."""
    Userfaultfd.open().close()
    return "yes"


def without_privilege() -> str:
    """What a program without privileges may have."""
    try:
        allowed = UNPRIVILEGED.read_text().strip() == "1"
    except OSError as error:
        remedy = "this needs Linux 5.2; what others may do is for them to try"
        raise Unavailable(f"{UNPRIVILEGED}: {error.strerror}", remedy) from error
    if allowed:
        return "yes"
    try:
        os.close(syscall(Nr.USERFAULTFD, os.O_CLOEXEC | UFFD_USER_MODE_ONLY))
    except OSError:
        return "no"
    return "faults of user mode only"


def device() -> str:
    """Whether ``/dev/userfaultfd`` opens one."""
    try:
        os.close(open_device())
    except OSError as error:
        remedy = "this needs Linux 6.1, and the right to open it"
        raise Unavailable(f"/dev/userfaultfd: {error.strerror}", remedy) from error
    return "yes"


def features() -> str:
    """The features that the handshake offers, by name; those that have no name here by number."""
    with Userfaultfd.open() as uffd:
        found = int(uffd.api())
    names = {int(feature): feature.name or "" for feature in Feature}
    bits = [1 << bit for bit in range(64) if found >> bit & 1]
    return " ".join(names.get(bit, f"{bit:#x}") for bit in bits)


def absent_features() -> str:
    """Those that it does not offer."""
    with Userfaultfd.open() as uffd:
        found = uffd.api()
    return " ".join(feature.name or "" for feature in Feature if not feature & found) or "none"


def kvm() -> str:
    """Whether a virtual CPU loads a byte, and which modules of the kernel it runs on."""
    with Puppet() as puppet:
        machine = VirtualMachine(puppet)
        puppet.poke(machine.page, bytes([_BYTE]))
        found = str(machine.exit(machine.load(puppet.thread()).wait()))
    modules = sorted(path.name for path in Path("/sys/module").glob("kvm_*"))
    if found != f"MMIO {_BYTE}":
        return f"no: {found} for a byte"
    return f"yes, {' '.join(modules)}" if modules else "yes"


def trace_events() -> str:
    """Whether trace events can be had, in an instance of our own."""
    with Instance() as instance:
        instance.enable("sched:sched_switch")
        instance.disable("sched:sched_switch")
    return "yes"


def function_tracer() -> str:
    """Whether functions of the kernel can be traced."""
    with Instance() as instance:
        tracers = instance.read("available_tracers").split()
        if "function" not in tracers:
            raise Unavailable(
                f"tracers: {' '.join(tracers)}", "boot a kernel with CONFIG_FUNCTION_TRACER=y"
            )
        instance.write("set_ftrace_filter", "handle_userfault")
        graph = "function_graph" in tracers
    return "yes, with function_graph" if graph else "yes"


def kprobes() -> str:
    """Whether probes can be put into the kernel."""
    with Instance() as instance:
        try:
            os.close(os.open(instance.root / "kprobe_events", os.O_WRONLY | os.O_APPEND))
        except FileNotFoundError as error:
            remedy = "boot a kernel with CONFIG_KPROBE_EVENTS=y"
            raise Unavailable("there is no kprobe_events", remedy) from error
        except PermissionError as error:
            remedy = "be root, on a kernel that is not locked down"
            raise Unavailable(f"kprobe_events: {error.strerror}", remedy) from error
    return "yes"


def perf() -> str:
    """Whether page faults of a thread can be counted, those of the kernel too."""
    with Puppet() as puppet, FaultCounter(puppet.thread()):
        pass
    return "yes"


def stacks() -> str:
    """Whether one sees where in the kernel a thread sleeps."""
    if not Thread(os.getpid(), os.getpid()).stack:
        raise Unavailable("/proc/PID/stack is empty", "boot a kernel with CONFIG_STACKTRACE=y")
    return "yes"


def frames() -> str:
    """Whether ``pagemap`` tells which frame a page has."""
    with Puppet() as puppet:
        page = puppet.map()
        puppet.poke(page, b"x")
        if page_frame(puppet.pid, page):
            return "yes"
    raise Unavailable("pagemap tells no frame", "have CAP_SYS_ADMIN")


INVENTORY: dict[str, Callable[[], str]] = {
    function.__name__: function
    for function in (
        system_call,
        without_privilege,
        device,
        features,
        absent_features,
        kvm,
        trace_events,
        function_tracer,
        kprobes,
        perf,
        stacks,
        frames,
    )
}
"""What there is to be looked at, by name."""


def take() -> Iterator[dict[str, Any]]:
    """Look at everything: name, answer, or what is missing and the remedy."""
    for name, look in INVENTORY.items():
        answer = {"name": name, "answer": "", "missing": "", "remedy": ""}
        try:
            answer["answer"] = look()
        except Unavailable as error:
            answer |= {"missing": error.message, "remedy": error.remedy}
        except OSError as error:
            answer |= {"missing": name_of(error.errno or 0), "remedy": "be root"}
        yield answer
