"""The functions that a thread has called, in a recording and in the model, side by side.

Each thread's calls are a sequence. Two of them agree if they have the same functions in the same
order, and if each recorded caller that the model knows is around the model's call as well. What
several CPUs leave open is tried out: a situation agrees if there is a run of the model (``Policy``)
in which all threads agree.

A recording that was cut is compared as far as it goes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from refault.linux.modelled import modelled_functions
from refault.live.functions.execution import STEPS, Policy, Run, execute
from refault.live.functions.grain import BELOW, NAMES, SAME, names_in, plain
from refault.live.functions.recording import Recording
from refault.live.functions.stories import SITUATIONS

WAKEUPS = 8
"""Wake-ups of a story that are tried out, one at a time, with the woken task going first."""

STEPS_OF_CUT = 3_000
"""Steps of the model for a recording that was cut: more than are recorded."""


BEYOND = 50
"""Calls of a model that does not come to an end that are shown beyond the kernel's."""


class Step(NamedTuple):
    """A call as it is compared: the function, and the functions around it as far as known."""

    function: str
    around: tuple[str, ...]


class Line(NamedTuple):
    """What a kernel and the model have done next; empty where one has not done it."""

    kernel: str
    model: str
    around: str = ""

    @property
    def agrees(self) -> bool:
        """Tell whether both did the same, and for the same caller."""
        return self.kernel == self.model and not self.around


class Thread(NamedTuple):
    """A thread's calls, aligned."""

    name: str
    lines: tuple[Line, ...]

    @property
    def agrees(self) -> bool:
        """Tell whether all do."""
        return all(line.agrees for line in self.lines)


class Compared(NamedTuple):
    """A situation on one kernel, and in the model of its version.

    ``ended`` says how the model's run ended if that was not as it should: with a finding, or never.
    """

    situation: str
    release: str
    version: str
    policy: Policy
    threads: tuple[Thread, ...]
    ended: str = ""

    @property
    def agrees(self) -> bool:
        """Tell whether kernel and model do."""
        return not self.ended and all(thread.agrees for thread in self.threads)

    @property
    def distance(self) -> int:
        """How many lines differ."""
        return sum(not line.agrees for thread in self.threads for line in thread.lines)


def policies() -> Iterator[Policy]:
    """Yield the schedules that are tried, the plain one first."""
    for late in (False, True):
        for number in range(WAKEUPS + 1):
            yield Policy(number, late)


def compare(recording: Recording, name: str, *, without: Iterable[str] = ()) -> Compared:
    """Compare a situation with the model of that version; the schedule that comes nearest.

    ``without`` are functions that the model is taken not to have called: for tests.
    """
    taken = frozenset(without)
    for policy in policies():
        if agrees(recording, name, policy, taken):
            return compare_run(recording, name, policy, taken)
    every = (compare_run(recording, name, policy, taken) for policy in policies())
    return min(every, key=lambda one: one.distance)


@lru_cache(maxsize=512)
def _run(name: str, version: str, policy: Policy, cut: bool) -> Run:
    return execute(SITUATIONS[name].story, version, policy, STEPS_OF_CUT if cut else STEPS)


def _steps(
    recording: Recording, name: str, policy: Policy, without: frozenset[str]
) -> tuple[dict[str, tuple[list[Step], list[Step]]], str]:
    """What kernel and model did, by thread; and how the model's run ended if not as it should."""
    situation = recording.situations[name]
    run = _run(name, recording.version, policy, situation.cut)
    if without:
        run = run._replace(calls=tuple(e for e in run.calls if e.function not in without))
    found = {}
    for thread in situation.threads():
        kernel = of_kernel(recording, name, thread)
        model = of_model(recording, name, thread, run)
        found[thread] = kernel, model[: len(kernel)] if situation.cut else model
    endless = "the model goes on for ever" if run.cut and not situation.cut else ""
    return found, run.finding or endless


def agrees(
    recording: Recording, name: str, policy: Policy, without: frozenset[str] = frozenset()
) -> bool:
    """Tell whether kernel and model agree in one run of the model."""
    found, ended = _steps(recording, name, policy, without)
    return not ended and all(
        len(kernel) == len(model) and all(map(_equal, kernel, model))
        for kernel, model in found.values()
    )


def compare_run(
    recording: Recording, name: str, policy: Policy, without: frozenset[str] = frozenset()
) -> Compared:
    """Compare a situation with one run of the model."""
    found, ended = _steps(recording, name, policy, without)
    threads = tuple(
        Thread(thread, align(kernel, model[: len(kernel) + BEYOND]))
        for thread, (kernel, model) in found.items()
    )
    return Compared(name, recording.release, recording.version, policy, threads, ended)


def of_kernel(recording: Recording, name: str, thread: str) -> list[Step]:
    """What a kernel did, without what is below the grain of the model."""
    known = known_functions(recording.version)
    steps = []
    for call in recording.situations[name].of(thread):
        if not any(below.covers(call) for below in BELOW):
            caller = plain(call.caller)
            around = (caller,) if caller in known else ()
            steps.append(Step(SAME.get(call.function, call.function), around))
    return steps


def of_model(recording: Recording, name: str, thread: str, run: Run) -> list[Step]:
    """What the model did of that which the tracer would have written down."""
    names = names_in(recording.version)
    visible = {SAME.get(f, f) for f in recording.visible(name, thread)}
    leaves = {*recording.situations[name].leaves}
    steps = []
    for entered in run.calls:
        function = names.get(entered.function, entered.function)
        if entered.thread == thread and function in visible and not leaves & {*entered.around}:
            around = {*entered.around, *(names.get(f, f) for f in entered.around)}
            steps.append(Step(function, tuple(around)))
    return steps


def known_functions(version: str) -> frozenset[str]:
    """The functions that the model has, under its own names and those of a version."""
    names = names_in(version)
    other = {name.recorded for name in NAMES} - {*names.values()}
    modelled = {function.name for function in modelled_functions()} - other
    return frozenset(modelled | {*names.values()})


def align(kernel: Sequence[Step], model: Sequence[Step]) -> tuple[Line, ...]:
    """Put two sequences side by side: as many equal functions as can be, in their order."""
    length = _common(kernel, model)
    lines: list[Line] = []
    k = m = 0
    while k < len(kernel) or m < len(model):
        if k < len(kernel) and m < len(model) and kernel[k].function == model[m].function:
            lines.append(Line(kernel[k].function, model[m].function, _astray(kernel[k], model[m])))
            k, m = k + 1, m + 1
        elif m == len(model) or (k < len(kernel) and length[k + 1, m] >= length[k, m + 1]):
            lines.append(Line(kernel[k].function, ""))
            k += 1
        else:
            lines.append(Line("", model[m].function))
            m += 1
    return tuple(lines)


def _equal(kernel: Step, model: Step) -> bool:
    return kernel.function == model.function and not _astray(kernel, model)


def _astray(kernel: Step, model: Step) -> str:
    """The recorded caller, if the model knows it and does not call from there."""
    return next((caller for caller in kernel.around if caller not in model.around), "")


def _common(kernel: Sequence[Step], model: Sequence[Step]) -> Mapping[tuple[int, int], int]:
    """The length of a longest common subsequence of each pair of ends."""
    length = {(len(kernel), m): 0 for m in range(len(model) + 1)}
    length |= {(k, len(model)): 0 for k in range(len(kernel) + 1)}
    for k in reversed(range(len(kernel))):
        for m in reversed(range(len(model))):
            same = kernel[k].function == model[m].function
            skip = max(length[k + 1, m], length[k, m + 1])
            length[k, m] = max(skip, length[k + 1, m + 1] + 1) if same else skip
    return length


def compare_all(recordings: Iterable[Recording]) -> Iterator[Compared]:
    """Compare every situation of some recordings."""
    for recording in recordings:
        for name in recording.situations:
            yield compare(recording, name)
