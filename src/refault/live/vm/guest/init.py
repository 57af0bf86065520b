"""The first process of a guest: it mounts, loads modules, does jobs, and powers off.

Jobs come over the second serial port, one JSON object a line: ``{"job": 1, "module": "…",
"input": …}``. The module's ``main(input)`` is an iterator; each thing that it gives is sent back as
``{"job": 1, "answer": …}``, and then ``{"job": 1, "end": ""}``, where the end of a job that failed
says why. Each job has a process of its own, so a job that crashes ends nothing else.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
import termios
import tty
from contextlib import suppress
from pathlib import Path
from typing import Any

from refault.live.abi import name_of

PORT = "/dev/ttyS1"
_FINIT_MODULE = 313
_POWER_OFF = 0x4321FEDC
MOUNTS = (
    ("proc", "/proc"),
    ("sysfs", "/sys"),
    ("devtmpfs", "/dev"),
    ("tmpfs", "/tmp"),
    ("tmpfs", "/run"),
    ("tracefs", "/sys/kernel/tracing"),
    ("debugfs", "/sys/kernel/debug"),
)

_libc = ctypes.CDLL(None, use_errno=True)


def mount_all() -> None:
    """Mount what the kernel has; a kernel without tracefs is one without tracing."""
    for kind, where in MOUNTS:
        with suppress(OSError):
            os.makedirs(where, exist_ok=True)
            _libc.mount(kind.encode(), where.encode(), kind.encode(), 0, None)


def load_modules() -> dict[str, str]:
    """Load what the archive brought; returns an error by name for each, empty if it is loaded."""
    said = {}
    for name in Path("/modules/order").read_text().split():
        with open(f"/modules/{name}.ko", "rb") as module:
            failed = _libc.syscall(_FINIT_MODULE, module.fileno(), b"", 0)
        said[name] = name_of(ctypes.get_errno()) if failed else ""
    return said


class Port:
    """The line to the host."""

    def __init__(self, path: str = PORT) -> None:
        fd = os.open(path, os.O_RDWR | os.O_NOCTTY)
        tty.setraw(fd, termios.TCSANOW)
        self._in = os.fdopen(fd, "rb", buffering=1 << 16, closefd=False)
        self._fd = fd

    def send(self, **fields: Any) -> None:
        """Send one object, whole."""
        data = json.dumps(fields, separators=(",", ":")).encode() + b"\n"
        while data:
            data = data[os.write(self._fd, data) :]

    def receive(self) -> dict[str, Any]:
        """Wait for the next object."""
        received: dict[str, Any] = json.loads(self._in.readline())
        return received


def run(port: Port, job: int, module: str, given: Any) -> None:
    """Do a job in a process of its own, and send its end."""
    child = os.fork()
    if child == 0:
        _be_job(port, job, module, given)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status < 0:
        port.send(job=job, end=f"killed by {signal.Signals(-status).name}")
    elif status:
        port.send(job=job, end=f"exit with {status}")


def _be_job(port: Port, job: int, module: str, given: Any) -> None:
    """Be the process of a job; never returns. A job that fails has sent its end."""
    try:
        os.setsid()
        for answer in importlib.import_module(module).main(given):
            port.send(job=job, answer=answer)
        port.send(job=job, end="")
    except BaseException as error:
        import traceback  # noqa: PLC0415

        told = getattr(error, "remedy", None)
        port.send(
            job=job,
            end=f"{type(error).__name__}: {error}",
            remedy=told or "",
            traceback=traceback.format_exc(),
        )
    finally:
        os._exit(0)


def _end_others() -> None:
    """Kill what a job left behind: the next one finds the machine as the first did."""
    with suppress(ProcessLookupError):
        os.kill(-1, signal.SIGKILL)
    with suppress(ChildProcessError):
        while True:
            os.waitpid(-1, 0)


def main() -> None:
    """Be the first process; never returns. What fails here is told on the console."""
    try:
        _serve()
    except BaseException:
        import traceback  # noqa: PLC0415

        traceback.print_exc()
        with suppress(termios.error):
            termios.tcdrain(sys.stderr)
    finally:
        _libc.reboot(_POWER_OFF)


def _serve() -> None:
    mount_all()
    sys.path.remove("/")
    loaded = load_modules()
    port = Port()
    port.send(ready=os.uname().release, modules=loaded)
    while True:
        asked = port.receive()
        if asked.get("halt"):
            return
        run(port, asked["job"], asked["module"], asked["input"])
        _end_others()
