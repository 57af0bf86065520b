"""The fault entries of the architectures, as tables of at most 100 columns."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from refault.linux.arch.cells import Case, Event, Missing, Mode, Pending, Result
from refault.linux.arch.entry import PageFault
from refault.linux.arch.masks import ACCESS, short
from refault.linux.arch.ptrace import Access, Kind
from refault.linux.arch.refusal import Disabled
from refault.linux.arch.stack import Find
from refault.linux.include.linux.mm_types import Vm, VmFault

FINDS = {
    Find.LMFV: "lock_mm_and_find_vma",
    Find.OWN: "own",
    Find.DANCE: "own, extable",
    Find.UP: "own, grows up",
    Find.UM: "copy, no extable",
}
TESTS = {
    Disabled.FAULTHANDLER: "faulthandler",
    Disabled.PAGEFAULT: "pagefault",
    Disabled.INTERRUPT: "in_interrupt",
    Disabled.TRAPS: "in traps.c",
}
LEGEND = """\
lock   VMA: tries the lock of the VMA first, in user mode
order  tests under mmap_lock: signal, completed, retry, unlock, error; r: only where no error is
masks  a VMA needs one of these flags; *: no set of flags says it; ': a present page changes it"""


def allowed_by(entry: PageFault, kind: Kind) -> str:
    """Say which flags of a VMA allow an access, as the mask answers for every set of flags."""
    plain, present = (_any_of(entry, Access(0, kind, present=p)) for p in (False, True))
    return plain if plain == present else f"{plain}'"


def _any_of(entry: PageFault, access: Access) -> str:
    sets = [Vm(bits) for bits in range(8)]
    answers = [entry.mask(flags, access) for flags in sets]
    for wanted in sets:
        if answers == [bool(flags & wanted & ACCESS) for flags in sets]:
            return short(wanted)
    return "*"


def own_methods(entry: PageFault) -> list[str]:
    """Name what an architecture does in a way of its own."""
    if type(entry) is PageFault:
        return []
    own = (name for name, thing in vars(type(entry)).items() if callable(thing))
    return [name for name in own if name in vars(PageFault) and not name.startswith("__")]


def parameters(entries: Iterable[PageFault]) -> str:
    """The table of parameters."""
    head = ("arch", "lock", "find", "order", "read", "write", "exec", "refuses")
    rows = [
        (
            entry.arch,
            "VMA" if entry.vma_lock else "",
            FINDS[entry.find],
            entry.order or "own",
            *(allowed_by(entry, kind) for kind in Kind),
            TESTS[entry.disabled],
        )
        for entry in entries
    ]
    return f"{table(head, rows)}\n\n{LEGEND}"


def peculiar(entries: Iterable[PageFault]) -> str:
    """The stack rules, and the methods that architectures have of their own."""
    rows = [(e.arch, _name(e.stack) or "-", " ".join(own_methods(e)) or "-") for e in entries]
    told = [row for row in rows if row[1:] != ("-", "-")]
    return table(("arch", "a stack grows for", "methods of its own"), told)


def _name(rule: Any) -> str:
    return "" if rule is None else str(rule.__name__)


def storage(entries: Iterable[PageFault]) -> str:
    """Where each architecture keeps the details of a fault, for ptrace and core dumps."""
    rows = [(e.arch, e.file, e.function, e.storage or "-") for e in entries]
    return table(("arch", "file", "entry", "details in"), rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Lay out rows in columns, two blanks apart, without trailing blanks."""
    widths = [max(map(len, column)) for column in zip(head, *rows, strict=True)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True))
        for row in (head, *rows)
    ]
    return "\n".join(line.rstrip() for line in lines)


COLUMNS: dict[Event, str] = {
    VmFault.NONE: "done",
    VmFault.COMPLETED: "COMPL.",
    VmFault.OOM: "OOM",
    VmFault.SIGBUS: "SIGBUS",
    VmFault.SIGSEGV: "SIGSEGV",
    VmFault.HWPOISON: "HWPOISON",
    Missing.NO_VMA: "no VMA",
    Missing.DENIED: "denied",
    Missing.GONE: "gone",
}
SIGNALS = (Pending.NONE, Pending.SIGNAL, Pending.KILL)
WORDS = {
    "resume": ".",
    "OOM killer": "oom",
    "lock imbalance": "unlock",
}
RESULTS_LEGEND = """\
.       the instruction runs again, with the page there     signal  without it, to take a signal
fixup   the user access fails with -EFAULT                  oom     the OOM killer is called
unlock  a lock is given back twice                          A/B     under the VMA lock / mmap_lock
MAPERR, ACCERR: SIGSEGV with that code; ADRERR, MCEERR: SIGBUS; denied: the VMA forbids the access;
gone: the VMA is gone when a retry looks for it again"""


def word(result: Result) -> str:
    """Write a result in a few letters."""
    effects = [WORDS.get(e, e.partition(",")[0].rpartition("_")[2]) for e in result.effects]
    effects = ["MCEERR" if e == "AR" else e for e in effects]
    ends = [] if result.end == "resume" and effects else [WORDS.get(result.end, result.end)]
    held = ["held"] * bool(result.held)
    return "+".join([*effects, *ends, *held])


def matrix(results: Mapping[Case, Result], mode: Mode) -> str:
    """What each architecture makes of each event in one mode, with no signal pending."""
    arches = list(dict.fromkeys(case.arch for case in results))
    rows = [[arch, *(_cell(results, arch, e, mode) for e in COLUMNS)] for arch in arches]
    return f"{mode.value}\n\n{table(('arch', *COLUMNS.values()), rows)}"


def _cell(results: Mapping[Case, Result], arch: str, event: Event, mode: Mode) -> str:
    words = [
        word(results[case])
        for lock in (True, False)
        if (case := Case(arch, event, mode, Pending.NONE, lock)) in results
    ]
    return "/".join(dict.fromkeys(words))


def retries(results: Mapping[Case, Result]) -> str:
    """What a RETRY comes to, by mode and by pending signal."""
    arches = list(dict.fromkeys(case.arch for case in results))
    modes = {Mode.USER: "user", Mode.UACCESS: "kernel"}
    signals = {Pending.NONE: "", Pending.SIGNAL: ", signal", Pending.KILL: ", SIGKILL"}
    rows = [
        [arch, *(word(results[Case(arch, VmFault.RETRY, *at)]) for at in product(modes, signals))]
        for arch in arches
    ]
    head = ("arch", *(modes[mode] + signals[pending] for mode, pending in product(modes, signals)))
    return f"RETRY, under mmap_lock, by what is pending\n\n{table(head, rows)}"


def balance(results: Mapping[Case, Result]) -> Iterator[str]:
    """Say in how many cases each lock was given back once, and by what kind of event not."""
    bad: dict[str, list[str]] = {}
    for case, result in results.items():
        if not result.balanced:
            bad.setdefault(case.arch, []).append(kind(case.event))
    yield (
        f"{len(results)} cases, {sum(map(len, bad.values()))} of them leave a lock unbalanced"
        + (":" if bad else "")
    )
    for arch, kinds in bad.items():
        counts = (f"{kinds.count(k)} {k}" for k in dict.fromkeys(kinds))
        yield f"  {arch}: {', '.join(counts)}"


def kind(event: Event) -> str:
    """Name the kind of an event: which families of results it mixes."""
    if isinstance(event, Missing):
        return event.value
    errors = bin(event & VmFault.ERROR).count("1")
    mixed = bool(event & (VmFault.RETRY | VmFault.COMPLETED))
    parts = [
        *(["RETRY"] if event & VmFault.RETRY else []),
        *(["COMPLETED"] if event & VmFault.COMPLETED else []),
        *(["errors"] if errors > 1 or (errors and mixed) else []),
    ]
    return "+".join(parts) or name(event)


MIXED: tuple[VmFault, ...] = (
    VmFault.RETRY | VmFault.SIGBUS,
    VmFault.COMPLETED | VmFault.SIGBUS,
    VmFault.RETRY | VmFault.COMPLETED,
    VmFault.OOM | VmFault.SIGBUS,
    VmFault.SIGBUS | VmFault.SIGSEGV,
)


def mixed(results: Mapping[Case, Result]) -> str:
    """What each architecture makes of results that no well-behaved handler returns."""
    arches = list(dict.fromkeys(case.arch for case in results))
    rows = [[arch, *(_cell(results, arch, e, Mode.USER) for e in MIXED)] for arch in arches]
    return f"{Mode.USER.value}\n\n{table(('arch', *map(name, MIXED)), rows)}"


def name(event: Event) -> str:
    """Name an event: the bits of a result, or what there was in place of one."""
    if isinstance(event, Missing):
        return event.value
    bits = [bit.name or "" for bit in VmFault if event & bit and bit.value & (bit.value - 1) == 0]
    index = int(event) >> 16 & 0xF
    return "|".join(bits) + (f" HINDEX {index}" if index else "") or "done"


def plain(case: Case, result: Result) -> dict[str, Any]:
    """A case and its result as JSON."""
    return {
        "arch": case.arch,
        "event": name(case.event),
        "mode": case.mode.value,
        "pending": case.pending.value,
        "lock": "VMA" if case.vma_lock else "mmap_lock",
        "end": result.end,
        "effects": result.effects,
        "calls": result.calls,
        "held": result.held,
    }


def described(entry: PageFault) -> dict[str, Any]:
    """The parameters of an entry as JSON."""
    return {
        "arch": entry.arch,
        "file": entry.file,
        "entry": entry.function,
        "vma_lock": entry.vma_lock,
        "find": entry.find.value,
        "order": entry.order,
        "mask": {kind.value: allowed_by(entry, kind) for kind in Kind},
        "stack": _name(entry.stack),
        "refuses": entry.disabled.value,
        "errors": [[name(bits), action.value] for bits, action in entry.errors],
        "otherwise": entry.otherwise.value,
        "kernel_errors": entry.kernel.value,
        "one_code": entry.one_code,
        "mceerr": entry.mceerr,
        "kernel_sigbus": entry.kernel_sigbus,
        "own": own_methods(entry),
        "storage": entry.storage,
        "until": entry.until,
    }
