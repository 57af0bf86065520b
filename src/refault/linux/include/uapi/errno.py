"""Error numbers (``include/uapi/asm-generic/errno*.h``); the kernel returns their negatives."""

from __future__ import annotations

EPERM = 1
ENOENT = 2
ESRCH = 3
EINTR = 4
EIO = 5
EBADF = 9
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22
EMFILE = 24
ENOSPC = 28
EDEADLK = 35
ENAMETOOLONG = 36
ENOBUFS = 105
EALREADY = 114
EHWPOISON = 133

ERESTARTSYS = 512
ERESTARTNOINTR = 513
ERESTARTNOHAND = 514
ERESTART_RESTARTBLOCK = 516

_NAMES = {number: name for name, number in list(globals().items()) if name.startswith("E")}

EWOULDBLOCK = EAGAIN


def errno_name(result: int) -> str:
    """Return ``-EAGAIN`` for -11; a number without a name as it is."""
    return f"-{_NAMES[-result]}" if -result in _NAMES else str(result)
