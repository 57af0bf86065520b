"""Trace events and tracers, in a tracing instance of our own.

What others trace on this machine is not touched, nor is it seen. Where tracefs is not mounted it
is mounted without a place in the file system (``fsmount(2)``): nobody else sees that mount, and it
is gone with its descriptor, whatever happens to us. An instance is a folder and stays when its
process is killed; the next one to be made sweeps such leftovers away.
"""

from __future__ import annotations

import atexit
import ctypes
import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from itertools import count
from pathlib import Path
from types import TracebackType

from .abi import Nr, Unavailable, syscall
from .records import Parser, Record

__all__ = ["Instance", "Record", "sweep"]

_CLOEXEC, _FSCONFIG_CREATE = 1, 6
_NAME = re.compile(r"refault-(\d+)-\d+")
_CHUNK = 1 << 16
_numbers = count()


class Instance:
    """A tracing instance; a context manager that removes it.

    ``pids`` are thread ids whose events are wanted, of all if there are none; ``children`` adds
    those that they fork. It is removed at exit, too. Without a ``pipe`` it has no ``records()``;
    with one its tracer cannot be changed.
    """

    def __init__(
        self, pids: Iterable[int] = (), *, children: bool = False, pipe: bool = True
    ) -> None:
        self._mount = -1
        root = _mounted()
        if root is None:
            self._mount = _mount()
            root = Path(f"/proc/{os.getpid()}/fd/{self._mount}")
        self.root = root
        self.folder = root / "instances" / f"refault-{os.getpid()}-{next(_numbers)}"
        self._pids, self._pipe, self._parser = tuple(pids), -1, Parser()
        self._owner = os.getpid()
        try:
            sweep(root / "instances")
            self.folder.mkdir()
            atexit.register(self.close)
            if pipe:
                self._pipe = os.open(self.folder / "trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
            self.write("trace_clock", "mono")
            for name in ("hash-ptr", "overwrite"):  # an address is one; what is new may be lost
                with suppress(FileNotFoundError):
                    self.write(f"options/{name}", "0")
            if self._pids:
                self.write("set_event_pid", " ".join(map(str, self._pids)))
            self.option("event-fork", children)
        except OSError as error:
            self.close()
            raise Unavailable(f"tracefs: {error.strerror}", "be root") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Instance:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the instance."""
        if os.getpid() != self._owner:
            return
        if self._pipe >= 0:
            os.close(self._pipe)
            self._pipe = -1
        with suppress(FileNotFoundError):
            self.folder.rmdir()
        if self._mount >= 0:
            os.close(self._mount)
            self._mount = -1
        atexit.unregister(self.close)

    def write(self, name: str, text: str, *, append: bool = False) -> None:
        """Write a line to a file of the instance; what was there goes, unless one appends.

        ``Unavailable`` where this is forbidden, ``OSError`` where the kernel refuses the text.
        """
        flags = os.O_WRONLY | os.O_CLOEXEC | (os.O_APPEND if append else os.O_TRUNC)
        try:
            fd = os.open(self.folder / name, flags)
            try:
                os.write(fd, text.encode() + b"\n")
            finally:
                os.close(fd)
        except PermissionError as error:
            what = f"tracefs: {name} may not be written: {error.strerror}"
            raise Unavailable(what, "be root, on a kernel that is not locked down") from error

    def read(self, name: str) -> str:
        """Read a file of the instance; ``Unavailable`` where this is forbidden."""
        try:
            return (self.folder / name).read_text()
        except PermissionError as error:
            what = f"tracefs: {name} may not be read: {error.strerror}"
            raise Unavailable(what, "be root, on a kernel that is not locked down") from error

    def option(self, name: str, on: bool = True) -> None:
        """Switch an option, such as ``stacktrace``."""
        self.write(f"options/{name}", "1" if on else "0")

    def enable(self, *events: str) -> None:
        """Switch events on: ``sched:sched_switch``, ``signal:*``; ``Unavailable`` if unknown."""
        for event in events:
            try:
                self.write("set_event", event, append=True)
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                raise Unavailable(
                    f"this kernel has no trace event {event}", "boot one that was built with it"
                ) from error

    def disable(self, *events: str) -> None:
        """Switch events off, all of them if none is named."""
        if not events:
            self.write("set_event", "")
        for event in events:
            self.write("set_event", f"!{event}", append=True)

    def mark(self, text: str) -> None:
        """Write a line of our own into the trace."""
        self.write("trace_marker", text)

    @property
    def lost(self) -> int:
        """Events for which there was no room."""
        return self._parser.lost

    def records(self, *, others: bool = False) -> list[Record]:
        """Take what was recorded, the oldest first.

        Events at a switch of tasks are recorded for both of them; those that the kernel counts to
        somebody else are left out, unless ``others`` are wanted.
        """
        text = b"".join(self._chunks()).decode(errors="replace")
        found = self._parser.feed(text)
        if others or not self._pids:
            return found
        wanted = {int(pid) for pid in self.read("set_event_pid").split()} | set(self._pids)
        return [record for record in found if record.pid in wanted or record.pid == self._owner]

    def _chunks(self) -> Iterator[bytes]:
        while True:
            try:
                chunk = os.read(self._pipe, _CHUNK)
            except BlockingIOError:
                return
            if not chunk:
                return
            yield chunk


def sweep(instances: Path) -> list[str]:
    """Remove the instances of processes that are no more; returns their names."""
    swept = []
    for entry in instances.iterdir():
        match = _NAME.fullmatch(entry.name)
        if match and not Path(f"/proc/{match[1]}").exists():
            with suppress(OSError):  # somebody reads it
                entry.rmdir()
                swept.append(entry.name)
    return swept


def _mounted() -> Path | None:
    """Where tracefs is mounted and we may make instances."""
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        path = Path(re.sub(r"\\(\d{3})", lambda m: chr(int(m[1], 8)), place))
        if kind == "tracefs" and os.access(path / "instances", os.W_OK | os.X_OK):
            return path
    return None


def _mount() -> int:
    """Mount tracefs nowhere; returns the descriptor that is its root."""
    name = ctypes.create_string_buffer(b"tracefs")
    try:
        context = syscall(Nr.FSOPEN, ctypes.addressof(name), _CLOEXEC)
        try:
            syscall(Nr.FSCONFIG, context, _FSCONFIG_CREATE, 0, 0, 0)
            return syscall(Nr.FSMOUNT, context, _CLOEXEC, 0)
        finally:
            os.close(context)
    except OSError as error:
        if error.errno == errno.ENODEV:
            what = "this kernel has no tracefs"
            raise Unavailable(what, "boot one with CONFIG_FTRACE=y") from error
        raise Unavailable(
            f"tracefs is not mounted, and cannot be: {error.strerror}", "be root"
        ) from error
