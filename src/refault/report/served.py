"""Whom one ``generic_page_fault()`` can serve, as a table."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from refault.linux.arch.cells import Mode
from refault.patches.served import Service

from .arches import name, plain, table, word

SHORT = {Mode.USER: "", Mode.UACCESS: "kernel: ", Mode.KERNEL: "bug: "}


def changes(service: Service) -> list[str]:
    """Say what changes, in user mode first; in kernel mode only what is nothing new."""
    found: dict[str, list[str]] = {}
    told: set[str] = set()
    for case, own, generic in sorted(
        service.differences, key=lambda d: list(Mode).index(d[0].mode)
    ):
        event = name(case.event).partition("_LARGE")[0].removeprefix("MAJOR|")
        if case.mode is not Mode.USER and event in told:
            continue
        told.add(event)
        change = f"{SHORT[case.mode]}{word(own)} -> {word(generic)}"
        if event not in found.setdefault(change, []):
            found[change].append(event)
    return [f"{change} for {', '.join(events)}" for change, events in found.items()]


def served(services: Iterable[Service]) -> str:
    """The table: what each architecture asks for, and what changes even so."""
    rows: list[tuple[str, str, str, str]] = []
    for service in services:
        count = f"{len(service.differences)}/{service.cases}"
        first, *more = changes(service) or ["nothing"]
        rows.append((service.arch, str(service.served) or "-", count, first))
        rows += [("", "", "", text) for text in more]
    return table(("arch", "asks for, beside masks and stack rule", "cases", "what changes"), rows)


def plain_service(service: Service) -> dict[str, Any]:
    """A service as JSON."""
    return {
        "arch": service.arch,
        "asks_for": service.served.asks,
        "cases": service.cases,
        "differences": [
            plain(case, own) | {"generic": plain(case, generic)}
            for case, own, generic in service.differences
        ],
    }
