"""The functions that a thread has called, in a recording and in the model, side by side."""

from __future__ import annotations

import difflib
from typing import NamedTuple

from refault.live.functions.execution import Entered, Policy, execute
from refault.live.functions.grain import BELOW, NAMES, SAME
from refault.live.functions.recording import Recording
from refault.live.functions.stories import SITUATIONS
from refault.patches.version import parse


class Difference(NamedTuple):
    sign: str
    function: str


def of_kernel(recording: Recording, name: str, thread: str) -> list[str]:
    found = []
    for call in recording.situations[name].of(thread):
        if any(b.function == call.function and (not b.callers or call.caller.split('.')[0] in b.callers) for b in BELOW):
            continue
        found.append(SAME.get(call.function, call.function))
    return found


def of_model(recording: Recording, name: str, thread: str, entered: list[Entered]) -> list[str]:
    version = parse(recording.version)
    names = {n.modelled: n.recorded for n in NAMES if n.holds(version)}
    visible = recording.visible(name, thread) - {b.function for b in BELOW if not b.callers}
    leaves = set(recording.situations[name].leaves)
    return [
        said
        for e in entered
        if e.thread == thread and (said := names.get(e.function, e.function)) in visible and not leaves & set(e.around)
    ]


POLICIES = [Policy(n, late) for late in (False, True) for n in range(8)]
def compare(recording: Recording, name: str):
    best = None
    for policy in POLICIES:
        entered = execute(SITUATIONS[name].story, recording.version, policy, 3000 if recording.situations[name].cut else 20000)
        result = {}
        for thread in recording.situations[name].threads():
            kernel = of_kernel(recording, name, thread)
            model = of_model(recording, name, thread, entered)
            if recording.situations[name].cut:
                model = model[: len(kernel)]
            result[thread] = (kernel, model)
        if all(a == b for a, b in result.values()):
            return True, result
        best = best or result
    return False, best
