"""The process of QEMU: its command, and that it ends with us.

It runs in TCG, so neither ``/dev/kvm`` nor any privilege is needed, and guests have KVM of their
own whatever the host is: the processor that is emulated has AMD's virtualization.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO

from ..abi import Unavailable
from .interpreter import PYTHON

QEMU = "qemu-system-x86_64"
CPUS, MEMORY_MIB = 2, 1024

CMDLINE = (
    "console=ttyS0 quiet panic=-1 oops=panic mitigations=off nowatchdog nosoftlockup "
    "rcupdate.rcu_cpu_stall_suppress=1 no_timer_check random.trust_cpu=on audit=0 "
    f"PYTHONHOME=/ LD_LIBRARY_PATH=/lib rdinit=/{PYTHON} -- -S -B /init.py"
)
"""A panic ends the machine at once; a slow machine is none that hangs."""

_TIED = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() != int(sys.argv[1]):
    sys.exit("whoever started this is gone")
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Become another program that is killed when the thread that started this one ends."""


def find() -> str:
    """Return the path of QEMU; ``Unavailable`` if it is not installed."""
    path = shutil.which(QEMU)
    if not path:
        raise Unavailable(f"{QEMU} is not installed", "install the package qemu-system-x86")
    return path


class Emulator:
    """A QEMU that runs one kernel, until it powers off, crashes, or is killed."""

    def __init__(self, image: Path, initramfs: int, ports: Sequence[int]) -> None:
        """Start it; ``initramfs`` and ``ports`` (console, jobs) are descriptors."""
        command = [*arguments(find(), str(image), f"/proc/self/fd/{initramfs}")]
        for number, port in enumerate(ports):
            command += ["-chardev", f"socket,id=port{number},fd={port}"]
            command += ["-serial", f"chardev:port{number}"]
        tied = [sys.executable, "-E", "-S", "-P", "-c", _TIED, str(os.getpid())]
        self._process = subprocess.Popen(
            [*tied, *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(initramfs, *ports),
            start_new_session=True,  # Ctrl-C is for us; what it means to the guest we say
        )

    @property
    def pid(self) -> int:
        """Its process id."""
        return self._process.pid

    def wait(self, seconds: float) -> bool:
        """Wait until it has ended; False if it has not in time."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(seconds)
        return self._process.returncode is not None

    def errors(self) -> str:
        """What it complained of, when it has ended."""
        pipe: IO[bytes] | None = self._process.stderr
        said = pipe.read().decode(errors="replace") if pipe and not pipe.closed else ""
        return "\n".join(line for line in said.splitlines() if "TCG doesn't support" not in line)

    def close(self) -> None:
        """Kill it unless it has ended, and wait for that."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        if self._process.stderr:
            self._process.stderr.close()


def arguments(qemu: str, image: str, initramfs: str) -> list[str]:
    """The command, but for the serial ports."""
    return [
        qemu, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
        # One thread for all CPUs: with several, one may run code that another one has just patched,
        # as static keys do, and a guest that turned its KVM on and off ended in "Oops: int3".
        "-machine", "pc", "-accel", "tcg,thread=single", "-cpu", "max",
        "-smp", str(CPUS), "-m", str(MEMORY_MIB),
        "-kernel", image, "-initrd", initramfs, "-append", CMDLINE,
    ]  # fmt: skip
