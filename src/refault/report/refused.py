"""What the model says of system calls whose buffer the kernel is refused, in a table."""

from __future__ import annotations

from refault.linux.arch.x86.include.asm.cpufeatures import X86Feature
from refault.litmus.model import CPUS, allowed
from refault.scenarios.live_refused import CALLS, FAMILY, PLACES

OLD = "without copy_user_one_try"
"""Before 6.4 every copy that failed was tried again, byte by byte."""

HEAD = (
    "who",
    *(cell for place in PLACES.values() for cell in (place, "page faults")),
)


def _values(name: str, place: str, label: str, variant: str, cpu: X86Feature) -> str:
    program = FAMILY[name, place].live
    assert program is not None
    outcomes = allowed(program, variant, cpus=(cpu,)).outcomes
    return " or ".join(sorted({dict(outcome)[label] for outcome in outcomes}))


def result(name: str, place: str) -> str:
    """What the call returns, whatever the CPU."""
    (found,) = {_values(name, place, "result", "", cpu) for cpu in CPUS.values()}
    return f"`{found}`"


def faults(name: str, place: str) -> str:
    """How many page faults it takes, by what the CPU is good at, and before 6.4."""
    found = {kind: _values(name, place, "faults", "", cpu) for kind, cpu in CPUS.items()}
    found["before 6.4"] = _values(name, place, "faults", OLD, CPUS["FSRM"])
    if len(set(found.values())) == 1:
        return found["FSRM"]
    return ", ".join(f"{kind} {count}" for kind, count in found.items())


def rows() -> list[tuple[str, ...]]:
    """The table: a row for each system call."""
    return [
        (
            call.title,
            *(
                cell
                for place in PLACES
                for cell in (
                    (result(name, place), faults(name, place))
                    if (name, place) in FAMILY
                    else ("-", "-")
                )
            ),
        )
        for name, call in CALLS.items()
    ]
