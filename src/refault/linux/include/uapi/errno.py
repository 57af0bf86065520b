"""Error numbers (``include/uapi/asm-generic/errno*.h``); the kernel returns their negatives."""

from __future__ import annotations

ENOENT = 2
ESRCH = 3
EINTR = 4
EAGAIN = 11
ENOMEM = 12
EACCES = 13
EFAULT = 14
EBUSY = 16
EEXIST = 17
EINVAL = 22
EDEADLK = 35
EALREADY = 114

ERESTARTSYS = 512
ERESTARTNOINTR = 513
ERESTARTNOHAND = 514
ERESTART_RESTARTBLOCK = 516
