"""What each architecture makes of each result of ``handle_mm_fault()``, by running its entry.

A *case* is an architecture, an event (a result, or that there was no VMA to ask), where the fault
came from, which signal is pending, and which lock it begins under. Each is one run of the modelled
entry with a ``handle_mm_fault()`` that gives the result and obeys its lock contract: RETRY and
COMPLETED have dropped the fault lock, anything else has not.

The wait behind a RETRY ends with what it waited for, so the next attempt succeeds; but a task that
is being killed must get out without that, so for it nobody resolves the fault.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from itertools import product
from typing import Any, NamedTuple

from refault.explore import Program, Violation, restart
from refault.explore.solo import Endless, Solo, Stuck
from refault.linux.arch import ARCHITECTURES
from refault.linux.arch.entry import DROPPED
from refault.linux.arch.mmu import page_fault
from refault.linux.arch.ptrace import KERNEL, UACCESS, USER, Access, End, Kind, PtRegs
from refault.linux.arch.table import entry
from refault.linux.include.linux.mm_types import FaultFlag, MmStruct, Vm, VmArea, VmFault
from refault.linux.include.linux.pgtable import ZERO_PFN, mk_pte
from refault.linux.include.uapi.siginfo import SigInfo
from refault.linux.machine import Kernel
from refault.linux.mm.mmap_lock import mmap_read_unlock, vma_end_read, vma_start_read

TASK = "task"


class Mode(Enum):
    """Where the fault came from."""

    USER = "user mode"
    UACCESS = "kernel mode, with an entry in the exception table"
    KERNEL = "kernel mode, without one"

    @property
    def regs(self) -> PtRegs:
        """The registers of such a fault."""
        return {Mode.USER: USER, Mode.UACCESS: UACCESS, Mode.KERNEL: KERNEL}[self]


class Pending(Enum):
    """Which signal is pending."""

    NONE = "no signal"
    SIGNAL = "a signal"
    KILL = "SIGKILL"


class Missing(Enum):
    """Events without a result of ``handle_mm_fault()``."""

    NO_VMA = "no VMA"
    DENIED = "VMA forbids it"
    GONE = "VMA gone"
    DISABLED = "no faults allowed"


Event = VmFault | Missing


class Case(NamedTuple):
    """What happens, and where."""

    arch: str
    event: Event
    mode: Mode = Mode.USER
    pending: Pending = Pending.NONE
    vma_lock: bool = False


class Result(NamedTuple):
    """What came of a case.

    ``end`` is how the entry returned, or why it did not: ``resume``, ``signal`` (it resumes without
    the page, to take the signal that is pending), ``fixup``, or the kind of what was broken.
    ``effects`` are the signals and calls of the OOM killer on the way, ``calls`` how often
    ``handle_mm_fault()`` was called, ``held`` the locks that were left behind.
    """

    end: str
    effects: tuple[str, ...] = ()
    calls: int = 0
    held: tuple[str, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether each lock was given back once."""
        return not self.held and self.end != "lock imbalance"

    def __str__(self) -> str:
        parts = [*self.effects, *([] if self.end == "resume" and self.effects else [self.end])]
        return ", ".join([*parts, *(f"{lock} held" for lock in self.held)])


class Bench:
    """A kernel of one architecture with one task and one page, to run cases on."""

    def __init__(self, arch: str, patched: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self.program = Program()
        self.case = Case(arch, VmFault.NONE)
        self.calls = 0
        self.effects: list[str] = []
        self.asked = self.program.cell("asked", False)
        stubs: dict[str, Callable[..., Any]] = {
            "handle_mm_fault": self._handle_mm_fault,
            "find_vma": self._find_vma,
            "find_vma_prev": lambda mm, address: (self._find_vma(mm, address), None),
            "lock_vma_under_rcu": self._lock_vma_under_rcu,
            "signal_pending": lambda task: self.case.pending is not Pending.NONE,
            "fatal_signal_pending": lambda task: self.case.pending is Pending.KILL,
            "pagefault_disabled": lambda: self.case.event is Missing.DISABLED,
            "force_sig_info_to_task": self._signal,
            "pagefault_out_of_memory": lambda: self.effects.append("OOM killer"),
        }
        self.kernel = Kernel(self.program, {**(patched or {}), **stubs}, arch=arch)
        process = self.kernel.mm()
        self.mm: MmStruct = process.mm
        self.page = process.mmap(Vm.READ | Vm.WRITE | Vm.EXEC)
        self.closed = process.mmap(Vm.NONE)
        self.kernel.thread(name=TASK)(lambda: None)

    def run(self, case: Case) -> Result:
        """Run a case."""
        self.case, self.calls, self.effects = case, 0, []
        solo = Solo(self.program, TASK)
        try:
            end = solo.run(self._instruction)
        except Violation as broken:
            end = broken.kind
        except Stuck:
            end = "deadlock"
        except Endless:
            end = "livelock"
        held = self._held(solo) if end in ("resume", "signal", "fixup", "livelock") else ()
        return Result(end, tuple(self.effects), self.calls, held)

    def _instruction(self) -> str:
        """Run the instruction until it is through, or has left the fault for good."""
        page = self.closed if self.case.event is Missing.DENIED else self.page
        while True:
            restart()
            if self.mm.pte(page.address).read().present:
                return End.RESUME.value
            end = page_fault(self.mm, Access(page.address, Kind.READ), self.case.mode.regs)
            if end is End.RESUME and self.case.mode is Mode.USER and not self.effects:
                there = self.mm.pte(page.address).read().present
                return end.value if there or self.case.pending is Pending.NONE else "signal"
            if end is End.FIXUP or self.effects:
                return end.value

    def _handle_mm_fault(self, vma: VmArea, address: int, flags: FaultFlag) -> VmFault:
        self.calls += 1
        fault = self._answer()
        self.asked.write(True)
        if fault & DROPPED:
            (vma_end_read if flags & FaultFlag.VMA_LOCK else _unlock)(vma)
        if not fault & VmFault.RETRY and (fault & VmFault.COMPLETED or not fault & VmFault.ERROR):
            self.mm.pte(address).write(mk_pte(ZERO_PFN))
        return fault

    def _answer(self) -> VmFault:
        event = self.case.event
        if event is Missing.GONE:
            return VmFault.RETRY
        if isinstance(event, Missing):
            return VmFault.NONE
        resolved = self.asked.read() and self.case.pending is not Pending.KILL
        return VmFault.NONE if event & VmFault.RETRY and resolved else event

    def _find_vma(self, mm: MmStruct, address: int) -> VmArea | None:
        gone = self.case.event is Missing.GONE and self.asked.read()
        return None if self.case.event is Missing.NO_VMA or gone else mm.find_vma(address)

    def _lock_vma_under_rcu(self, mm: MmStruct, address: int) -> bool:
        if not self.case.vma_lock or self.case.event is Missing.NO_VMA:
            return False
        vma = mm.find_vma(address)
        return vma is not None and vma_start_read(vma)

    def _signal(self, info: SigInfo) -> None:
        self.effects.append(str(info))

    def _held(self, solo: Solo) -> tuple[str, ...]:
        cells = [c for c in self.program.cells if c.holders is not None]
        return tuple(c.name for c in cells if c.holders and TASK in c.holders(solo[c]))


def _unlock(vma: VmArea) -> None:
    mmap_read_unlock(vma.vm_mm)


REACHABLE: tuple[Event, ...] = (
    VmFault.NONE,
    VmFault.NOPAGE,
    VmFault.MAJOR,
    VmFault.COMPLETED,
    VmFault.RETRY,
    VmFault.RETRY | VmFault.MAJOR,
    VmFault.OOM,
    VmFault.SIGBUS,
    VmFault.SIGSEGV,
    VmFault.HWPOISON,
    VmFault.HWPOISON_LARGE,
    VmFault.HWPOISON_LARGE | VmFault(0x10000),
    *Missing,
)
"""What can happen: each family of results, what goes with it as far as a handler looks at it, and
the two sizes of huge pages. The information bits NEEDDSYNC, DONE_COW and LOCKED are looked at by no
architecture."""

ERRORS = (
    VmFault.OOM,
    VmFault.SIGBUS,
    VmFault.SIGSEGV,
    VmFault.HWPOISON,
    VmFault.HWPOISON_LARGE,
    VmFault.FALLBACK,
)


def mixes() -> tuple[VmFault, ...]:
    """Return each result that no well-behaved handler returns: 256 less the families.

    All sets of RETRY, COMPLETED and the six errors but those of a single member.
    """
    bits = (VmFault.RETRY, VmFault.COMPLETED, *ERRORS)
    sets = (
        functools.reduce(VmFault.__or__, (b for b, on in zip(bits, chosen, strict=True) if on))
        for chosen in product((False, True), repeat=len(bits))
        if sum(chosen) > 1
    )
    return tuple(sets)


def cases(arch: str, events: tuple[Event, ...] = REACHABLE) -> list[Case]:
    """Return every case of an architecture with these events.

    The lock of a single VMA is tried in user mode only, and by those that have it.
    """
    locks = {Mode.USER: (True, False) if entry(arch).vma_lock else (False,)}
    return [
        Case(arch, event, mode, pending, lock)
        for event, mode, pending in product(events, Mode, Pending)
        for lock in locks.get(mode, (False,))
    ]


def results(
    arch: str,
    events: tuple[Event, ...] = REACHABLE,
    patched: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[Case, Result]:
    """Run every case of an architecture."""
    bench = Bench(arch, patched)
    return {case: bench.run(case) for case in cases(arch, events)}


def all_results(
    arches: Iterable[str] = ARCHITECTURES,
    events: tuple[Event, ...] = REACHABLE,
    patched: Mapping[str, Callable[..., Any]] | None = None,
) -> dict[Case, Result]:
    """Run every case of several architectures."""
    found: dict[Case, Result] = {}
    for arch in arches:
        found |= results(arch, events, patched)
    return found
