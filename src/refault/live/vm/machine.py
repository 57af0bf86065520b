"""A machine with another kernel, in which modules of live mode run.

    with Machine(parse("debian:6.1")) as vm:
        for answer in vm.run("refault.live.vm.guest.hello", {}):
            ...

Each wait has its limit, and whoever waits too long is told the last lines of the console. The
machine is killed at the end of the ``with``, and by the kernel when this process dies. So it must
be made in a thread that lives as long.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from ..abi import Unavailable, require_machine
from . import initramfs
from .channel import Channel, Closed
from .emulator import Emulator
from .kernel import Kernel, Progress, parse, quiet

BOOT_SECONDS = 120.0
ANSWER_SECONDS = 120.0
"""Longest silence of a job; a machine that shares its CPUs may well be ten times slower."""
_END_SECONDS = 15.0
_TICK = 1.0
_BOOTING = "booting"
_NEEDS = "it needs an initramfs, devtmpfs, and two 8250 serial ports"
_BUSY = "try again with less load on this machine, or allow more time"


class GuestFailed(Unavailable):
    """The guest did not come up, or ended, or a limit of time was passed."""


class JobFailed(Unavailable):
    """A job ended with an error; ``traceback`` is the guest's."""

    def __init__(self, message: str, remedy: str = "", traceback: str = "") -> None:
        super().__init__(message, remedy)
        self.traceback = traceback


class Machine:
    """A kernel, booted by ``with``; ``modules`` has the error of each module, empty if loaded."""

    def __init__(
        self, kernel: Kernel, *, progress: Progress = quiet, boot_seconds: float = BOOT_SECONDS
    ) -> None:
        self.kernel = kernel
        self.release = ""
        self.modules: dict[str, str] = {}
        self._progress = progress
        self._boot_seconds = boot_seconds
        self._jobs = 0
        self._channel: Channel | None = None
        self._emulator: Emulator | None = None

    def __enter__(self) -> Machine:
        try:
            self._boot()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        if kind is None:
            self.power_off()
        self.close()

    def close(self) -> None:
        """End it at once, whatever it does."""
        if self._emulator:
            self._emulator.close()
        if self._channel:
            self._channel.close()
        self._emulator = self._channel = None

    def power_off(self) -> None:
        """Let the guest end by itself; a guest that does not is killed by ``close``."""
        if self._channel and self._emulator:
            try:
                self._channel.send({"halt": True}, _END_SECONDS)
                self._emulator.wait(_END_SECONDS)
            except (Closed, TimeoutError):
                pass

    def console(self) -> list[str]:
        """The last lines of the guest's console."""
        return self._channel.console() if self._channel else []

    def _boot(self) -> None:
        require_machine()
        self._progress(f"preparing {self.kernel}")
        archive = initramfs.open_for(self.kernel.to_load())
        try:
            self._channel = Channel()
            ends = self._channel.theirs
            self._emulator = Emulator(self.kernel.image, archive, [end.fileno() for end in ends])
            for end in ends:
                end.close()
        finally:
            os.close(archive)
        ready = self._next(_BOOTING, self._boot_seconds, lambda line: "ready" in line)
        self.release, self.modules = ready["ready"], ready["modules"]

    def run(
        self, module: str, given: Any = None, *, seconds: float = ANSWER_SECONDS
    ) -> Iterator[Any]:
        """Run ``main(given)`` of a module in the guest, and yield what it yields, as it comes.

        ``given`` and the answers are what JSON can say. ``seconds`` is the longest silence.
        Raises ``JobFailed`` where the job fails; the machine can then do others. A job that is left
        half way goes on, and the next begins when that has ended.
        """
        if not (self._channel and self._emulator):
            raise RuntimeError("the machine is not running")
        self._jobs += 1
        job, what = self._jobs, module.rpartition(".")[2]
        try:
            self._channel.send({"job": job, "module": module, "input": given}, seconds)
        except (Closed, TimeoutError) as error:
            raise self._failed(f"does not take the job {what}", _BUSY) from error
        while True:
            said = self._next(f"running {what}", seconds, lambda line: line.get("job") == job)
            if "answer" in said:
                yield said["answer"]
            elif not said["end"]:
                return
            else:
                raise JobFailed(
                    f"{what} on {self.release}: {said['end']}",
                    said.get("remedy", ""),
                    said.get("traceback", ""),
                )

    def _next(
        self, doing: str, seconds: float, fits: Callable[[dict[str, Any]], bool]
    ) -> dict[str, Any]:
        """Wait for the next line that fits, and tell how long that takes."""
        assert self._channel
        began, told = time.monotonic(), 0
        while (spent := time.monotonic() - began) < seconds:
            try:
                line = self._channel.receive(min(_TICK, seconds - spent))
            except Closed as error:
                remedy = f"try another kernel: {_NEEDS}" if doing == _BOOTING else ""
                raise self._failed(f"has ended while {doing}", remedy) from error
            if line is not None and fits(line):
                return line
            if (whole := int(time.monotonic() - began)) > told:
                told = whole
                self._progress(f"{doing} {self.kernel}, {told} s")
        remedy = f"{_BUSY}; or try another kernel: {_NEEDS}" if doing == _BOOTING else _BUSY
        raise self._failed(f"has said nothing for {seconds:g} s while {doing}", remedy)

    def _failed(self, what: str, remedy: str) -> GuestFailed:
        """Say what has become of the guest, with its last words; it is killed."""
        assert self._channel
        assert self._emulator
        console = "\n".join(self._channel.last_words())
        ended = self._emulator.wait(1.0)
        errors = self._emulator.errors() if ended else ""
        self._emulator.close()
        words = "\n".join(text for text in (errors, console) if text)
        told = "its last words:\n" + words if words else "it said nothing"
        return GuestFailed(f"the guest with {self.kernel} {what}; {told}", remedy)


def answers(
    kernel: str, module: str, given: Any = None, *, progress: Progress = quiet
) -> Iterator[Any]:
    """Boot the kernel that ``--vm`` names, run one job in it, and yield what that yields."""
    with Machine(parse(kernel, progress), progress=progress) as machine:
        yield from machine.run(module, given)
