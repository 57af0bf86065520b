"""Workers that are forked processes: what the coordinator sees of a cluster, without one."""

from __future__ import annotations

import os
import pickle
import select
import signal
import struct
import warnings
from contextlib import suppress
from typing import Any

from refault.explore.engines.cluster import Lost
from refault.explore.engines.exploration import Build
from refault.explore.engines.worker import Done, Unit, Worker


class ForkedCrew:
    """A crew of child processes; so many are ``doomed``, with every third unit (``each``)."""

    def __init__(self, build: Build, size: int, doomed: int = 0, each: int = 3) -> None:
        self.size = size
        self.doomed = doomed
        self.each = each
        self.units = 0
        self.killed = 0
        self._build = build
        self._children: dict[int, tuple[int, int, int]] = {}
        self._busy: set[int] = set()

    def put(self, data: bytes) -> bytes:
        """Keep nothing: pieces travel with the units."""
        return data

    def submit(self, worker: int, unit: Unit) -> None:
        """Send a unit, and kill a worker now and then."""
        if worker not in self._children:
            self._children[worker] = self._fork()
        pid, _read, write = self._children[worker]
        self._busy.add(worker)
        with suppress(BrokenPipeError):  # it was killed after its last answer
            _send(write, unit)
        self.units += 1
        if self.killed < self.doomed and self.units % self.each == 0:
            self.killed += 1
            os.kill(pid, signal.SIGKILL)

    def _fork(self) -> tuple[int, int, int]:
        (unit_read, unit_write), (done_read, done_write) = os.pipe(), os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            pid = os.fork()
        if pid == 0:
            with suppress(BaseException):
                for _, read, write in self._children.values():
                    os.close(read)
                    os.close(write)
                os.close(unit_write)
                worker = Worker(self._build)
                while True:
                    answer: object
                    try:
                        answer = worker.work(_receive(unit_read))
                    except EOFError:
                        break
                    except Exception as e:
                        answer = e
                    _send(done_write, answer)
            os._exit(0)
        os.close(unit_read)
        os.close(done_write)
        return pid, done_read, unit_write

    def wait(self, seconds: float) -> list[int]:
        """Wait for answers, or for the end of a process."""
        reads = {self._children[worker][1]: worker for worker in self._busy}
        return [reads[r] for r in select.select(list(reads), [], [], seconds)[0]]

    def answer(self, worker: int) -> Done:
        """Read an answer."""
        self._busy.discard(worker)
        try:
            answer = _receive(self._children[worker][1])
        except EOFError:
            self._end(worker)
            raise Lost("it was killed") from None
        if isinstance(answer, Exception):
            raise answer
        assert isinstance(answer, Done)
        return answer

    def abandon(self) -> None:
        """End all processes."""
        for worker in list(self._children):
            self._end(worker)

    def _end(self, worker: int) -> None:
        self._busy.discard(worker)
        pid, read, write = self._children.pop(worker)
        os.close(read)
        os.close(write)
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)


def _send(write: int, what: object) -> None:
    data = pickle.dumps(what)
    data = struct.pack("<Q", len(data)) + data
    while data:
        data = data[os.write(write, data) :]


def _receive(read: int) -> Any:
    size = struct.unpack("<Q", _exactly(read, 8))[0]
    return pickle.loads(_exactly(read, size))


def _exactly(read: int, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = os.read(read, size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data
