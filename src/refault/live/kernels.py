"""On which kernel litmus tests are performed: the running one, or one in an emulator."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol

from .abi import require_machine
from .play.observe import SPIN
from .vm.kernel import Progress, parse, quiet
from .vm.machine import Machine

WORK = "refault.live.job"
ANSWER_SECONDS = 300.0
"""Longest silence of a guest, which is many times slower than the machine that it runs on."""
GUEST_SPIN = 0.3
"""Seconds on its CPU after which a thread in a guest is said to spin."""


class Place(AbstractContextManager["Place"], Protocol):
    """A kernel that does jobs; a context manager that leaves nothing behind.

    ``name`` is how it was asked for, ``spin`` how long a thread runs there until it spins.
    """

    name: str
    spin: float

    def run(self, module: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Yield the answers of ``main(given)`` of a module of live mode."""


class Running(Place):
    """The kernel that this runs on."""

    name = "running"
    spin = SPIN

    def __enter__(self) -> Running:
        require_machine()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        return None

    def run(self, module: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Do the job here."""
        answers: Iterator[Any] = import_module(module).main(given)
        return answers


class Guest(Place):
    """A kernel in an emulator: a path, or ``debian:VERSION``."""

    spin = GUEST_SPIN

    def __init__(self, asked: str, progress: Progress = quiet) -> None:
        self.name = asked
        self._machine = Machine(parse(asked, progress), progress=progress)

    def __enter__(self) -> Guest:
        self._machine.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._machine.__exit__(kind, error, where)

    def run(self, module: str, given: Mapping[str, Any]) -> Iterator[Any]:
        """Do the job in the guest."""
        return self._machine.run(module, given, seconds=ANSWER_SECONDS)


def places(asked: tuple[str, ...], progress: Progress = quiet) -> list[Place]:
    """The kernels that a command line names; none names the running one."""
    wanted = asked or ("running",)
    return [Running() if one == "running" else Guest(one, progress) for one in wanted]


def here() -> str:
    """The release of the running kernel."""
    return platform.release()
