"""The tables of ``docs/functions.md``: what kernels have called, and how that is compared."""

from __future__ import annotations

import functools

from refault.live.functions.compare import Compared, compare_all
from refault.live.functions.grain import BELOW, NAMES, Name
from refault.live.functions.recording import recorded
from refault.live.functions.stories import SITUATIONS, Told
from refault.report.functions import functions_differences, functions_table


@functools.cache
def found() -> tuple[Compared, ...]:
    """All that is recorded, compared with the model."""
    return tuple(compare_all(recorded().values()))


def _recorded() -> list[Told]:
    names = {one.situation for one in found()}
    return [told for told in SITUATIONS.values() if told.name in names]


def order() -> str:
    """The table as it is printed, and what the situations are."""
    rows = [f"| `{told.name}` | {told.title} |" for told in _recorded()]
    head = "| situation | what happens |\n| --- | --- |"
    return f"```\n{functions_table(found())}\n```\n\n{head}\n" + "\n".join(rows)


def differences() -> str:
    """What differs, side by side."""
    return f"```\n{functions_differences(found())}\n```"


def _versions(name: Name) -> str:
    if name.until:
        return f"before {name.until}"
    return f"since {name.since}" if name.since else "all"


def names() -> str:
    """The functions that have another name."""
    rows = [f"| `{n.modelled}` | `{n.recorded}` | {_versions(n)} | {n.reason} |" for n in NAMES]
    return "| model | recorded | versions | why |\n| --- | --- | --- | --- |\n" + "\n".join(rows)


def grain() -> str:
    """The functions that the model does not have."""
    rows = []
    for below in BELOW:
        callers = ", ".join(f"`{caller}`" for caller in below.callers)
        rows.append(f"| `{below.function}` | {callers} | {below.reason} |")
    return "| recorded | called by | why |\n| --- | --- | --- |\n" + "\n".join(rows)
