"""What a guest says: lines of JSON by its second serial port; and its console, for reports."""

from __future__ import annotations

import json
import selectors
import socket
import time
from collections import deque
from typing import Any

CONSOLE_LINES = 200
_CHUNK = 1 << 16


class Closed(Exception):
    """The emulator has ended."""


class Channel:
    """The host's end of both serial ports.

    The emulator gets the other ends, ``theirs``; they must be closed here when it has them.
    """

    def __init__(self) -> None:
        self._jobs, jobs = socket.socketpair()
        self._console, console = socket.socketpair()
        self.theirs = (console, jobs)
        self._partial = b""
        self._lines: deque[bytes] = deque()
        self._tail: deque[str] = deque(maxlen=CONSOLE_LINES)
        self._said = b""
        self._selector = selectors.DefaultSelector()
        for end in (self._jobs, self._console):
            end.setblocking(False)
            self._selector.register(end, selectors.EVENT_READ)

    def close(self) -> None:
        """Close all ends."""
        self._selector.close()
        for end in (self._jobs, self._console, *self.theirs):
            end.close()

    def send(self, asked: dict[str, Any], seconds: float) -> None:
        """Send one object; ``Closed`` if nobody is there, ``TimeoutError`` if it is not taken."""
        self._jobs.settimeout(seconds)
        try:
            self._jobs.sendall(json.dumps(asked).encode() + b"\n")
        except (BrokenPipeError, ConnectionResetError) as error:
            raise Closed from error
        finally:
            self._jobs.setblocking(False)

    def receive(self, seconds: float) -> dict[str, Any] | None:
        """Return the next object, None if none comes in time; ``Closed`` if none will."""
        deadline = time.monotonic() + seconds
        while True:
            while self._lines:
                if isinstance(received := _parsed(self._lines.popleft()), dict):
                    return received
            left = deadline - time.monotonic()
            ready = self._selector.select(max(left, 0.0))
            for key, _ in ready:
                self._take(key.fileobj)
            if left <= 0 and not ready:
                return None

    def _take(self, end: Any) -> None:
        try:
            data = end.recv(_CHUNK)
        except ConnectionResetError:
            data = b""
        if end is self._console:
            *lines, self._said = (self._said + data).split(b"\n")
            self._tail.extend(line.decode(errors="replace").rstrip() for line in lines)
            if not data:
                self._selector.unregister(end)
            return
        if not data:
            self._drain_console()
            raise Closed
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._lines.extend(lines)

    def _drain_console(self) -> None:
        """Take the last words of a machine that has ended."""
        try:
            while data := self._console.recv(_CHUNK):
                self._said += data
        except (BlockingIOError, ConnectionResetError):
            pass
        self._tail.extend(x.decode(errors="replace").rstrip() for x in self._said.split(b"\n"))
        self._said = b""

    def console(self) -> list[str]:
        """The last lines of the console."""
        said = [*self._tail, self._said.decode(errors="replace").rstrip()]
        return [line for line in said if line]

    def last_words(self, lines: int = 12) -> list[str]:
        """What of the console tells why it ended: up to a panic, without the dump that follows."""
        said = self.console()
        panics = [number for number, line in enumerate(said) if "Kernel panic" in line]
        said = said[: panics[0] + 1] if panics else said
        began = [line for line in said[:-lines] if "BUG: " in line or "Oops: " in line]
        return began + said[-lines:]


def _parsed(line: bytes) -> Any:
    """What a line means; a line that is broken means nothing."""
    try:
        return json.loads(line)
    except ValueError:
        return None
