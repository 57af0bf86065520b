"""Signals to a thread that waits for a page in userfaultfd, by where in the kernel it waits.

Each story is the same: a thread reaches for a page that is missing, somebody sends it a signal, and
then the page comes. ``ORIGINS`` are the ways to reach for a page, ``SIGNALS`` what is sent. The
labels of all are the same too:

=========== ===================================================================
``result``  what the access or the system call comes to
``before``  what the thread does before the signal
``message`` the message that the monitor reads then
``after``   what the thread does after the signal, and how often its handler
``handled`` has run by then
``again``   the message that there is then
``page``    what brings the page is told
``stopped`` what a thread that was sent SIGSTOP does then
``end``     what it does in the end, and how often its handler has run
``ran``     by then
``rerun``   what comes of running a virtual CPU again
=========== ===================================================================
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, Protocol

from refault.litmus import Actor, Litmus
from refault.litmus.story import Range

from .api import Scenario
from .litmus import told

PETER = "LKML 2022-06-22, Peter Xu: kvm/mm: Allow GUP to respond to non fatal signals"
PAGE = 4096


class Begin(Protocol):
    """Have a thread reach for a page."""

    def __call__(self, actor: Actor, page: Range, *, label: str = "result") -> None:
        """Begin; ``label`` is of what comes of it."""


class Origin(NamedTuple):
    """A way to reach for a page.

    ``kind`` is what it is to the kernel, ``zero`` whether a page of zeroes is to come, for the call
    goes by what it finds.
    """

    title: str
    kind: str
    begin: Begin
    zero: bool = False
    needs: tuple[str, ...] = ()


def _call(what: str, count: int = 100) -> Begin:
    def begin(actor: Actor, page: Range, *, label: str = "result") -> None:
        actor.call(what, page, count=count, label=label)

    return begin


def _guest(what: str, value: int | None = None) -> Begin:
    def begin(actor: Actor, page: Range, *, label: str = "result") -> None:
        actor.guest(what, page, value=value, label=label)

    return begin


def _load(actor: Actor, page: Range, *, label: str = "result") -> None:
    actor.load(page, label=label)


def _store(actor: Actor, page: Range, *, label: str = "result") -> None:
    actor.store(page, label=label)


USER, COPY, GUP, NOW, GUEST = "user mode", "user copy", "GUP", "GUP, now or never", "guest"

ORIGINS = {
    "load": Origin("a load", USER, _load),
    "store": Origin("a store", USER, _store),
    "pipe-write": Origin("`write(2)` to a pipe", COPY, _call("pipe_write")),
    "pipe-read": Origin("`read(2)` of a pipe", COPY, _call("pipe_read")),
    "file-write": Origin("`write(2)` to a file", COPY, _call("file_write")),
    "file-read": Origin("`read(2)` of a file", COPY, _call("file_read")),
    "send": Origin("`send(2)`", COPY, _call("send")),
    "receive": Origin("`recv(2)`", COPY, _call("receive")),
    "uname": Origin("`uname(2)`", COPY, _call("uname")),
    "clock-gettime": Origin("`clock_gettime(2)`", COPY, _call("clock_gettime")),
    "nanosleep": Origin("`nanosleep(2)`", COPY, _call("nanosleep"), zero=True),
    "mincore": Origin("`mincore(2)`", COPY, _call("mincore")),
    "access": Origin("`access(2)`, the path", COPY, _call("access"), zero=True),
    "vm-read-here": Origin("`process_vm_readv(2)`, to here", COPY, _call("vm_read_here")),
    "vm-read-there": Origin("`process_vm_readv(2)`, from there", GUP, _call("vm_read_there")),
    "futex": Origin("`futex(2)`, a shared word", GUP, _call("futex_wake")),
    "populate-read": Origin("`MADV_POPULATE_READ`", GUP, _call("populate_read", PAGE)),
    "populate-write": Origin("`MADV_POPULATE_WRITE`", GUP, _call("populate_write", PAGE)),
    "mlock": Origin("`mlock(2)`", GUP, _call("mlock", PAGE)),
    "vmsplice": Origin("`vmsplice(2)`", GUP, _call("vmsplice")),
    "direct-read": Origin("`read(2)` with `O_DIRECT`", GUP, _call("direct_read", PAGE)),
    "direct-write": Origin("`write(2)` with `O_DIRECT`", GUP, _call("direct_write", PAGE)),
    "proc-mem": Origin("`read(2)` of `/proc/self/mem`", NOW, _call("mem_read")),
    "guest-load": Origin("`KVM_RUN`, a load", GUEST, _guest("guest_run"), needs=("kvm",)),
    "guest-store": Origin("`KVM_RUN`, a store", GUEST, _guest("guest_run", 7), needs=("kvm",)),
    "emulated-load": Origin(
        "`KVM_RUN`, a load that is emulated",
        GUEST,
        _guest("emulated_run"),
        needs=("kvm emulates real mode",),
    ),
    "emulated-store": Origin(
        "`KVM_RUN`, a store that is emulated",
        GUEST,
        _guest("emulated_run", 7),
        needs=("kvm emulates real mode",),
    ),
}
"""Ways to reach for a page, by the middle of the names of their scenarios."""


class Sent(NamedTuple):
    """What the thread is sent: a signal, and whether the process handles it, with SA_RESTART."""

    title: str
    signal: str
    handled: bool = False
    restart: bool = False


SIGNALS = {
    "alone": Sent("no signal", ""),
    "usr1": Sent("SIGUSR1, handled", "SIGUSR1", handled=True),
    "usr1-restart": Sent("SIGUSR1, handled with SA_RESTART", "SIGUSR1", handled=True, restart=True),
    "stop": Sent("SIGSTOP, then SIGCONT", "SIGSTOP"),
    "term": Sent("SIGTERM", "SIGTERM"),
    "kill": Sent("SIGKILL", "SIGKILL"),
}
"""Signals, by the end of the names of their scenarios."""


def tell(origin: Origin, sent: Sent, t: Litmus) -> None:
    """Tell the story of a signal to a thread that reaches for a page."""
    t.needs(*origin.needs)
    if sent.handled:
        t.handle(sent.signal, restart=sent.restart)
    page, program = t.memory(), t.thread("program")
    origin.begin(program, page)
    t.monitor.status(program, label="before")
    t.monitor.read(label="message")
    if sent.signal:
        t.monitor.kill(program, sent.signal)
        t.monitor.status(program, label="after")
        t.monitor.handled(program, label="handled")
        t.monitor.read(label="again")
    bring = t.monitor.zeropage if origin.zero else t.monitor.copy
    bring(page, label="page")
    if sent.signal == "SIGSTOP":
        t.monitor.status(program, label="stopped")
        t.monitor.kill(program, "SIGCONT")
    t.monitor.status(program, label="end")
    t.monitor.handled(program, label="ran")
    if origin.kind == GUEST:
        origin.begin(program, page, label="rerun")


def _scenario(name: str, signal: str) -> Scenario:
    origin, sent = ORIGINS[name], SIGNALS[signal]
    return told(
        partial(tell, origin, sent),
        id=f"live-{name}-{signal}",
        doc=f"{origin.title.replace('`', '')} reaches for a missing page: {sent.title}.",
        source=PETER,
    )


FAMILY = {
    (name, signal): _scenario(name, signal)
    for name, origin in ORIGINS.items()
    for signal in SIGNALS
    if origin.kind != NOW or signal == "alone"
}
"""The scenarios, by origin and signal; who does not wait is sent none."""
