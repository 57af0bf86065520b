"""The callers of GUP, and what a signal makes of each of them.

Each is asked for one page, which is there, or comes from userfaultfd, or is locked by a device that
reads it; and is sent a signal while it is in the kernel. ``outcome()`` says what may come of that.
The page never comes, so who returns in spite of that does so for the signal.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from refault.explore import Cell, Violation
from refault.linux import Kernel, Page
from refault.linux.include.uapi.errno import EINTR
from refault.linux.include.uapi.signal import SIGKILL, SIGUSR1, Signal
from refault.linux.mm.process_vm_access import Copied
from refault.linux.syscalls import (
    fault_in_safely,
    futex_fault_in,
    futex_key,
    get_mempolicy,
    kvm_run,
    madvise_populate,
    mlock,
    o_direct_read,
    proc_mem_read,
    process_vm_readv,
    vmsplice,
)
from refault.linux.virt.kvm.kvm_host import Exit
from refault.scenarios.api import from_function, scenario
from refault.scenarios.gup_waits import GUNTHORPE, being_read, being_swapped_in, signalled

FLAG = "with gup_always_interruptible"


def _kvm(k: Kernel, page: Page) -> Callable[[], object]:
    vm = k.kvm(page)
    return lambda: kvm_run(vm, page)


def _plain(call: Callable[[Page], object]) -> Callable[[Kernel, Page], Callable[[], object]]:
    return lambda _k, page: lambda: call(page)


CALLERS: dict[str, Callable[[Kernel, Page], Callable[[], object]]] = {
    "`KVM_RUN`": _kvm,
    "`process_vm_readv(2)`": _plain(process_vm_readv),
    "`read(2)` with `O_DIRECT`": _plain(lambda page: o_direct_read(page, 7)),
    "`vmsplice(2)`": _plain(vmsplice),
    "`get_mempolicy(2)`, `MPOL_F_ADDR`": _plain(get_mempolicy),
    "`futex(2)`, a shared key": _plain(futex_key),
    "`futex(2)`, after a fault": _plain(futex_fault_in),
    "`fault_in_safe_writeable()`": _plain(fault_in_safely),
    "`MADV_POPULATE_WRITE`": _plain(madvise_populate),
    "`mlock(2)`": _plain(mlock),
    "`/proc/PID/mem`, ptrace": _plain(proc_mem_read),
}
"""Callers by name: made for a page when a story is built, called in the kernel."""


def _there(k: Kernel) -> tuple[Page, Cell[bool] | None]:
    return k.mm().mmap(contents="page"), None


def _served(k: Kernel) -> tuple[Page, Cell[bool] | None]:
    return k.uffd_page()[0], None


PLACES: dict[str, Callable[[Kernel], tuple[Page, Cell[bool] | None]]] = {
    "is there": _there,
    "userfaultfd": _served,
    "swap": lambda k: being_swapped_in(k, k.mm()),
    "file, locked": lambda k: being_read(k, k.mm()),
}
"""Where the page is: a function that makes one, and says when the story may begin."""


def returned(result: object) -> str:
    """What a call has returned, in a word or two."""
    if isinstance(result, Exit):
        return _number(result.errno) if result.errno else "goes on"
    if isinstance(result, Copied):
        return _number(result.ret)
    if isinstance(result, bool):
        return "true" if result else "false"
    return _number(result) if isinstance(result, int) else str(result)


def _number(value: int) -> str:
    return str(value) if value >= 0 else f"-{errno.errorcode[-value]}"


_NEVER = {"unserved fault": "waits", "deadlock": "waits", "livelock": "loops", "holds": "dies"}


def outcome(caller: str, place: str, sig: Signal, variant: str = "") -> tuple[str, ...]:
    """What can come of a signal: what is returned, ``waits`` or ``loops`` for ever, or ``dies``."""

    def story(k: Kernel) -> None:
        page, ready = PLACES[place](k)
        call = CALLERS[caller](k, page)
        signalled(k, page, call if sig is SIGKILL else lambda: _stop(call()), sig, ready)

    verdict = from_function(story, id="outcome").check(variant, time=60)
    kinds = verdict.kinds or (verdict.kind,)
    return tuple(sorted(_NEVER.get(kind, kind) for kind in kinds))


def _stop(result: object) -> None:
    raise Violation(returned(result), "that is what is returned")


def _hears(k: Kernel, caller: str) -> None:
    """A caller whose page userfaultfd does not bring says -EINTR when it is sent a signal."""
    page, ready = _served(k)
    call = CALLERS[caller](k, page)

    def tell() -> None:
        got = returned(call())
        if got != returned(-EINTR):
            raise Violation("wrong result", f"{got}, not -EINTR")

    signalled(k, page, tell, SIGUSR1, ready)


@scenario(source=GUNTHORPE, claims=("Q7",), expect={"": "holds", FLAG: "holds"})
def kvm_says_eintr(k: Kernel) -> None:
    """KVM_RUN says -EINTR for a signal: it sets FOLL_INTERRUPTIBLE."""
    _hears(k, "`KVM_RUN`")


@scenario(source=GUNTHORPE, claims=("Q7",), expect={"": "unserved fault", FLAG: "holds"})
def direct_io_says_eintr(k: Kernel) -> None:
    """Direct I/O would say -EINTR if it set FOLL_INTERRUPTIBLE, and has said nothing of it yet.

    That is within the rules of read(2), though no program has seen it of a file.
    """
    _hears(k, "`read(2)` with `O_DIRECT`")


@scenario(source=GUNTHORPE, claims=("Q7",), expect={"": "unserved fault", FLAG: "holds"})
def vmsplice_says_eintr(k: Kernel) -> None:
    """vmsplice(2) would say -EINTR if it set FOLL_INTERRUPTIBLE."""
    _hears(k, "`vmsplice(2)`")


@scenario(source=GUNTHORPE, claims=("Q7",), expect={"": "unserved fault", FLAG: "wrong result"})
def process_vm_readv_says_eintr(k: Kernel) -> None:
    """process_vm_readv(2) would say -EINTR if it set FOLL_INTERRUPTIBLE: refuted.

    Whatever GUP says, it says -EFAULT. So a debugger would take an address for a bad one.
    """
    _hears(k, "`process_vm_readv(2)`")


@scenario(
    source=GUNTHORPE,
    claims=("Q7",),
    expect={"": "unserved fault", FLAG: "holds", f"6.8, {FLAG}": "livelock"},
)
def populate_says_eintr(k: Kernel) -> None:
    """MADV_POPULATE_WRITE would say -EINTR if its faults were interruptible: since 6.9.

    At the time of the thread it had a loop of its own around __get_user_pages(), which looks for
    fatal signals only: each fault would be interrupted at once, and tried again.
    """
    _hears(k, "`MADV_POPULATE_WRITE`")
