"""``kill(2)`` and ``tgkill(2)`` (``kernel/signal.c``)."""

from __future__ import annotations

from refault.explore.errors import UserError
from refault.linux.include.linux.sched.signal import SignalStruct
from refault.linux.include.uapi.signal import Signal
from refault.linux.kernel.entry.common import system_call
from refault.linux.kernel.signal.send import do_send_sig_info, group_send_sig_info
from refault.linux.task import Task


@system_call
def sys_kill(process: SignalStruct, sig: Signal) -> int:
    """Send a signal to a process."""
    if not process.threads:
        raise UserError(
            f"process {process} has no threads to send {sig} to",
            "say of a thread that it belongs to it: k.thread(process=…)",
        )
    return group_send_sig_info(sig, process)


@system_call
def sys_tgkill(task: Task, sig: Signal) -> int:
    """Send a signal to one thread."""
    if task.signals is None:
        raise UserError(
            f"thread {task} belongs to no process and cannot be sent {sig}",
            "say which process it belongs to: k.thread(process=…)",
        )
    return do_send_sig_info(sig, task, False)
