"""Signals (``kernel/signal.c``), from the sender to the thread that takes them."""

from refault.linux.kernel.signal.deliver import get_signal, handle_signal, set_current_blocked
from refault.linux.kernel.signal.send import (
    do_send_sig_info,
    force_sig,
    group_send_sig_info,
    set_notify_signal,
    signal_wake_up,
    signal_wake_up_state,
)

__all__ = [
    "do_send_sig_info",
    "force_sig",
    "get_signal",
    "group_send_sig_info",
    "handle_signal",
    "set_current_blocked",
    "set_notify_signal",
    "signal_wake_up",
    "signal_wake_up_state",
]
