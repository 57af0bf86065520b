"""Everything that can come of one access to a contended buffer, by driver, mode and signal.

A case is searched twice, each time exhaustively: once for how it can end, and once, with no end
held against it, for whether it can go on for ever. What comes of it is the set of these.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import NamedTuple

from refault.explore import Finding, Program, Verdict, View, check
from refault.linux import Kernel
from refault.linux.include.linux.mm import Found, VmOperations
from refault.linux.include.linux.mm_flags import VmFault
from refault.linux.include.linux.mm_types import VmFaultInfo
from refault.linux.include.uapi.signal import (
    SA_RESTART,
    SIGBUS,
    SIGCONT,
    SIGKILL,
    SIGSTOP,
    SIGUSR1,
    Sigaction,
    Signal,
)
from refault.linux.syscalls import ioctl_in
from refault.patches import resolve
from refault.scenarios.gpu_drivers import DRIVERS, Ops, buffer


class Mode(Enum):
    """Who touches the page."""

    USER = "user mode"
    KERNEL = "copy_from_user()"


class Sent(Enum):
    """What the program is sent meanwhile, and what it does with it."""

    NOTHING = "no signal"
    HANDLER = "handler"
    RESTART = "SA_RESTART"
    FATAL = "SIGKILL"
    STOP = "SIGSTOP, SIGCONT"


class Contention(Enum):
    """How long somebody else has the lock of the buffer."""

    NONE = "nobody has the lock"
    SOME_TIME = "somebody has the lock for a time"
    UNTIL_BACK = "somebody has the lock until the program is back in user mode"


class Case(NamedTuple):
    """One access: the name of a driver, and the circumstances."""

    driver: str
    mode: Mode
    sent: Sent
    contention: Contention


SIGNALS: Mapping[Sent, tuple[Signal, ...]] = {
    Sent.NOTHING: (),
    Sent.HANDLER: (SIGUSR1,),
    Sent.RESTART: (SIGUSR1,),
    Sent.FATAL: (SIGKILL,),
    Sent.STOP: (SIGSTOP, SIGCONT),
}

OF_2018 = "i915 of 4.16"
"""It has a lock of the whole device in place of one of the buffer."""

MANY = 8
"""A program that faults so often on one page, with one lock taken once, goes round and round."""

OK, EFAULT, BUS, DIES = "ok", "-EFAULT", "SIGBUS", "dies"
SLEEPS, SPINS, AFTER = "sleeps for ever", "spins for ever", " after spinning"
ORDER = (OK, f"{OK}{AFTER}", EFAULT, BUS, DIES, f"{DIES}{AFTER}", SLEEPS, SPINS)
"""What can come of a case, the best first."""


class Told(NamedTuple):
    """What is asked of a state at the end: whether the program has returned, with what, and how."""

    done: Callable[[View], bool]
    outcome: Callable[[View], str]


def _one_more(value: int) -> tuple[int, None]:
    return min(value + 1, MANY), None


def story(k: Kernel, case: Case) -> Told:
    """Tell the story of a case."""
    outcome = k.program.cell("outcome", "")
    faults = k.program.cell("faults", 0)
    begun = k.program.cell("begun", False)
    back = k.program.cell("back", False)
    taken = k.program.cell("taken", case.contention is Contention.NONE)

    def counted(ops: Ops) -> Ops:
        return lambda obj: _counting(ops(obj), lambda: faults.update(_one_more))

    b = buffer(k, counted(DRIVERS[case.driver]))
    if case.contention is not Contention.NONE:
        until = back if case.contention is Contention.UNTIL_BACK else None
        b.hold(until, device=case.driver == OF_2018, taken=taken)

    def handler() -> None:
        back.write(True)

    def bus() -> None:
        outcome.write(BUS)
        k.exit_group()

    def call() -> int:
        begun.write(True)
        return ioctl_in(b.page, 8)

    caught = Sigaction(handler) if case.sent is Sent.HANDLER else SA_RESTART(handler)

    @k.thread(process=b.process, handlers={SIGUSR1: caught, SIGBUS: Sigaction(bus)})
    def program() -> None:
        taken.wait(bool)
        if case.mode is Mode.KERNEL:
            ret = k.syscall(call)
        else:
            begun.write(True)
            b.page.load()
            ret = 0
        outcome.write(EFAULT if ret else OK)
        back.write(True)

    if SIGNALS[case.sent]:

        @k.thread(daemon=True)
        def sender() -> None:
            begun.wait(bool)
            for sig in SIGNALS[case.sent]:
                k.kill(b.process, sig)

    def told(view: View) -> str:
        return (view[outcome] or DIES) + (AFTER if view[faults] >= MANY else "")

    return Told(lambda view: view.done("program"), told)


def _counting(ops: VmOperations, count: Callable[[], None]) -> VmOperations:
    fault = ops.fault
    assert fault is not None

    def counted(vmf: VmFaultInfo) -> Found | VmFault:
        count()
        return fault(vmf)

    return VmOperations(fault=counted, name=ops.name)


def _searched(case: Case, variant: str, *, ends: bool) -> Verdict:
    patches = resolve(variant)

    def build(program: Program) -> None:
        told = story(Kernel(program, patches, arch=patches.arch), case)

        def judge(view: View) -> Finding | None:
            if not ends:
                return None
            kind = told.outcome(view) if told.done(view) else SLEEPS
            return Finding(kind, kind)

        program.at_end(judge)

    return check(build, about=f"{case}", time=60)


@cache
def outcomes(case: Case, variant: str = "") -> tuple[str, ...]:
    """Return what can come of a case in a variant of the model, the best first."""
    found = set(_searched(case, variant, ends=True).kinds) - {"livelock"}
    endless = _searched(case, variant, ends=False)
    if endless.kind == "inconclusive" or set(endless.kinds) - {"livelock"}:
        raise AssertionError(f"{case}: {endless}")
    found |= {SPINS} if endless.kinds else set()
    return tuple(sorted(found, key=ORDER.index))
