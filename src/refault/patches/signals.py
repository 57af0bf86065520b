"""Signals as they were."""

from __future__ import annotations

from refault.linux.kernel.signal.send import signal_wake_up
from refault.linux.task import Task
from refault.patches.patch import Patch


def _as_a_signal(task: Task) -> None:
    """Task work had no flag of its own: it made a signal pending that is not there."""
    signal_wake_up(task, False)


signal_notify = Patch(
    name="signal_notify",
    title="entry: Add support for TIF_NOTIFY_SIGNAL",
    kind="fix",
    commit="12db8b690010",
    since="5.11",
    source="Jens Axboe, 2020",
    replaces={"set_notify_signal": _as_a_signal},
)
