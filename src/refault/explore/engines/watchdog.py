"""Notices model code that runs without end between two visible operations.

``while True: pass`` in a task would hang the explorer: the search waits for the next operation
and no limit is looked at. A timer looks now and then whether a task is still in the same run as
at the last look, and if so raises in it, with the line. Only in the main thread, where signals
are handled, and only if nobody else uses the timer.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from .. import runner, runtime
from ..errors import EndlessLoop
from ..where import model_frame, short

SECONDS = 2.5
"""A task may think for this long before its next operation, and at most for twice as long."""


class _Watch:
    def __init__(self) -> None:
        self._last = -1

    def look(self, _signal: int, frame: FrameType | None) -> None:
        """Raise if the task that runs now ran at the last look already."""
        now = runner.resumed if runtime.current is not None else -1
        if now < 0 or now != self._last:
            self._last = now
            return
        self._last = -1
        at = model_frame(frame)
        code = at.f_code if at is not None else None
        place = f"{short(code.co_filename)}:{at.f_lineno} ({code.co_name})" if at and code else ""
        raise EndlessLoop(
            f"{place}: a task has been running for seconds without a visible operation",
            "let the loop wait for a cell, or bound it",
        )


@contextmanager
def watching() -> Iterator[None]:
    """Watch over the model code that runs inside."""
    mine = threading.current_thread() is threading.main_thread()
    if not mine or signal.getsignal(signal.SIGALRM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGALRM, _Watch().look)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
