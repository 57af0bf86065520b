"""What system calls make of memory that the kernel is refused, by a userfaultfd for user mode only.

A buffer lies in two pages. COPY has brought the first; the second is missing, and no fault of the
kernel's brings it. Either the buffer begins in the first page, or all of it is in the second.
``faults`` are the page faults that the call takes before it gives up, whatever the CPU.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from refault.litmus import Litmus

from .api import Scenario
from .litmus import told

VETTER = "LKML 2018-04-04, Daniel Vetter: Signal handling in a page fault handler"
PAGE = 4096


class Call(NamedTuple):
    """A system call, and the length of its buffer."""

    title: str
    do: str
    length: int = 100


CALLS = {
    "pipe-write": Call("`write(2)` to a pipe", "pipe_write"),
    "pipe-read": Call("`read(2)` of a pipe", "pipe_read"),
    "file-write": Call("`write(2)` to a file", "file_write"),
    "file-read": Call("`read(2)` of a file", "file_read"),
    "send": Call("`send(2)`", "send"),
    "receive": Call("`recv(2)`", "receive"),
    "uname": Call("`uname(2)`", "uname", 390),
    "clock-gettime": Call("`clock_gettime(2)`", "clock_gettime", 16),
    "nanosleep": Call("`nanosleep(2)`", "nanosleep", 16),
    "access": Call("`access(2)`, the path", "access"),
    "vm-read-here": Call("`process_vm_readv(2)`, to here", "vm_read_here"),
    "vm-read-there": Call("`process_vm_readv(2)`, from there", "vm_read_there"),
    "futex": Call("`futex(2)`, a shared word", "futex_wake", 4),
    "populate-read": Call("`MADV_POPULATE_READ`", "populate_read", 2 * PAGE),
    "populate-write": Call("`MADV_POPULATE_WRITE`", "populate_write", 2 * PAGE),
    "mlock": Call("`mlock(2)`", "mlock", 2 * PAGE),
    "vmsplice": Call("`vmsplice(2)`", "vmsplice"),
    "direct-read": Call("`read(2)` with `O_DIRECT`", "direct_read", 1024),
    "direct-write": Call("`write(2)` with `O_DIRECT`", "direct_write", 1024),
    "proc-mem": Call("`read(2)` of `/proc/self/mem`", "mem_read"),
}
"""System calls, by the middle of the names of their scenarios."""

HALF, NONE = "half", "none"
PLACES = {HALF: "half of it is there", NONE: "nothing of it is there"}
"""How much of the buffer is there, by the end of the names of their scenarios."""

WHOLE = ("populate_read", "populate_write", "mlock")
"""Calls that are about whole pages."""

WORD = ("futex_wake",)
"""Calls whose buffer cannot lie in two pages."""


def tell(call: Call, place: str, t: Litmus) -> None:
    """Tell the story of a call whose buffer the kernel is refused."""
    t.userfaultfd(user_mode_only=True)
    p, program = t.memory(pages=2), t.thread("program")
    t.monitor.copy(p, label="")
    if place == NONE:
        length = PAGE if call.do in WHOLE else call.length
        program.call(call.do, p[1], count=length)
    else:
        offset = 0 if call.do in WHOLE else PAGE - call.length // 2
        program.call(call.do, p, offset=offset, count=call.length)
    t.monitor.faults(program)
    t.monitor.read(label="message")


def _scenario(name: str, place: str) -> Scenario:
    call = CALLS[name]
    return told(
        partial(tell, call, place),
        id=f"live-refused-{name}-{place}",
        doc=f"The kernel is refused the buffer of {call.title.replace('`', '')}: {PLACES[place]}.",
        source=VETTER,
    )


FAMILY = {
    (name, place): _scenario(name, place)
    for name, call in CALLS.items()
    for place in PLACES
    if place == NONE or call.do not in WORD
}
"""The scenarios, by system call and place."""
