"""The function tracer: which of some functions two threads enter, and from where.

Calls in interrupts are left out, for the tracer says of each whether it was in one. So are the
waits of a puppet's threads for their commands, which are no part of what they are told to do: those
are futex calls, whose shared keys GUP looks up.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from types import TracebackType

from ..abi import Unavailable
from ..tracefs import Instance
from .recording import Call

_LINE = re.compile(
    r"^\s*\S.*-(?P<pid>\d+)\s+\[\d+\]\s+(?P<flags>\S+)\s+[\d.]+: "
    r"(?P<function>\S+) <-(?P<caller>\S+)"
)
_INTERRUPTED = frozenset("hHszZ")
_WAITING = re.compile(r"futex_|wake_up_q$|do_futex$")
_KEY = "get_futex_key"
_LOOKS_UP = frozenset({"internal_get_user_pages_fast", "gup_fast_fallback"})

REMEDY = "boot another kernel in the emulator: one of Debian's has a function tracer"


class FunctionTracer:
    """The tracer, told of the functions ``asked``; a context manager that leaves nothing behind.

    ``not_traceable`` are those of them that this kernel has no place for. ``Unavailable`` where
    there is no function tracer, or it may not be told of functions.
    """

    def __init__(self, asked: Iterable[str]) -> None:
        self._instance = Instance(pipe=False)
        try:
            self._instance.write("tracing_on", "0")
            self.not_traceable = self._filter(sorted({*asked, _KEY}))
            self._instance.write("current_tracer", "function")
        except Unavailable as error:
            self.close()
            raise Unavailable(f"no functions can be traced: {error.message}", REMEDY) from error
        except OSError as error:
            self.close()
            what = f"no functions can be traced: {error.strerror}"
            raise Unavailable(what, "boot a kernel with CONFIG_FUNCTION_TRACER=y") from error

    def __enter__(self) -> FunctionTracer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop tracing, and remove the instance."""
        with suppress(OSError, Unavailable):
            self._instance.write("current_tracer", "nop")
        self._instance.close()

    def _filter(self, asked: Iterable[str]) -> tuple[str, ...]:
        """Tell the tracer of functions, one a write; returns those that it does not know."""
        self._instance.write("set_ftrace_filter", "")
        fd = os.open(self._instance.folder / "set_ftrace_filter", os.O_WRONLY | os.O_APPEND)
        unknown = []
        try:
            for function in asked:
                try:
                    os.write(fd, f"{function} ".encode())
                except OSError as error:
                    if error.errno != errno.EINVAL:
                        raise
                    unknown.append(function)
        finally:
            os.close(fd)
        known = {line.split()[0] for line in self._instance.read("set_ftrace_filter").splitlines()}
        return tuple(function for function in asked if function not in known)

    def begin(self, threads: Iterable[int]) -> None:
        """Trace some threads, by thread id, from here on."""
        self._instance.write("set_ftrace_pid", " ".join(map(str, threads)))
        self._instance.write("trace", "")
        self._instance.write("tracing_on", "1")

    def end(self, threads: Mapping[int, str]) -> list[Call]:
        """Stop; returns the calls in their order, the threads by their names."""
        self._instance.write("tracing_on", "0")
        return parsed(self._instance.read("trace"), threads)


def parsed(text: str, threads: Mapping[int, str]) -> list[Call]:
    """The calls in what the tracer has written down."""
    calls = []
    looking_up: set[str] = set()
    for line in text.splitlines():
        found = _LINE.match(line)
        if found is None or int(found["pid"]) not in threads:
            continue
        thread, function = threads[int(found["pid"])], found["function"]
        if found["flags"][2] in _INTERRUPTED or _WAITING.match(found["caller"]):
            looking_up |= {thread} if function == _KEY else set()
        elif thread in looking_up and function in _LOOKS_UP:
            looking_up.remove(thread)
        else:
            calls.append(Call(thread, function, found["caller"]))
    return calls
