"""Steps that are done from outside: at once, and by no thread of the program."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from refault.litmus.program import IDLE, Program, Step

from ..abi import Nr
from ..proc import PAGE, PageFlag, page_flags
from .ksm import merge as merge_pages
from .operations.threads import byte
from .stage import COPIED_BYTE

if TYPE_CHECKING:
    from .observe import Performance
    from .stage import Stage

LOOKS: dict[str, Callable[[Any, Step], str]] = {}


def look(function: Callable[[Performance, Step], str]) -> Callable[[Performance, Step], str]:
    """Register the step of the function's name."""
    LOOKS[function.__name__] = function
    return function


@look
def status(performance: Performance, step: Step) -> str:
    """What a thread is doing."""
    return performance.status[step.args["who"]]


@look
def faults(performance: Performance, step: Step) -> str:
    """How many page faults a thread has taken in its last system call."""
    return str(performance.stage.counters[step.args["who"]].count)


@look
def handled(performance: Performance, step: Step) -> str:
    """How often a handler has run."""
    return str(performance.stage.thread(step.args["who"]).handled.times)


@look
def peek(performance: Performance, step: Step) -> str:
    """What each page holds, and what userfaultfd has set there; nothing is faulted in."""
    stage, count = performance.stage, step.args["pages"]
    start = stage.address(step.args["at"])
    flags = stage.sight.flags(start, count)
    return "|".join(_page(stage, start + PAGE * n, flag) for n, flag in enumerate(flags))


def _page(stage: Stage, address: int, flags: PageFlag) -> str:
    words = ["wp"] * bool(flags & PageFlag.UFFD_WP) + ["guard"] * bool(flags & PageFlag.GUARD)
    if flags & PageFlag.PRESENT:
        return " ".join([byte(stage.sight.byte(address)), *words])
    return " ".join(["marker", *words]) if flags & PageFlag.SWAPPED else "-"


@look
def close(performance: Performance, step: Step) -> str:
    """Close the userfaultfd wherever it is open."""
    stage = performance.stage
    stage.spoilt = True
    assert stage.monitor is not None
    stage.monitor.thread().call(Nr.CLOSE, stage.uffd.fd)
    if stage.fd_inside >= 0:
        stage.puppet.thread().call(Nr.CLOSE, stage.fd_inside)
    stage.puppet.release(stage.uffd.fd)
    return "0"


@look
def kill(performance: Performance, step: Step) -> str:
    """Send a thread a signal; one that is idle takes it at once."""
    stage, who, name = performance.stage, step.args["who"], step.args["signal"]
    thread = stage.thread(who)
    before = thread.handled.times
    thread.kill(signal.Signals[name])
    if performance.status[who] == IDLE and _takes(stage.program, who, name):
        stage.puppet.wait_until(lambda: thread.handled.times > before)
    return "0"


def _takes(program: Program, who: str, name: str) -> bool:
    """Whether a thread has a handler for a signal, and does not block it."""
    blocked = next(thread.blocked for thread in program.threads if thread.name == who)
    return name in dict(program.handlers) and name not in blocked


@look
def protection(performance: Performance, step: Step) -> str:
    """Whether userfaultfd has write-protected a page, by ``/proc/pid/pagemap``."""
    stage = performance.stage
    flags = page_flags(stage.pid(step), stage.address(step.args["at"]))
    return "wp" if flags & PageFlag.UFFD_WP else "not wp"


@look
def merge(performance: Performance, step: Step) -> str:
    """Have ``ksmd`` replace a page that COPY brought by one that has the same contents."""
    stage = performance.stage
    merged = merge_pages(stage.puppet, stage.address(step.args["at"]), COPIED_BYTE)
    return "merged" if merged else "not merged"
