"""The model of Linux: one module per kernel file, the kernel's names throughout.

The base is Linux 6.18 on x86-64; what is older, newer or proposed is a patch
(``refault.patches``). The fault entries of all architectures are modelled, the fault core with
anonymous, file and shared memory, huge pages as far as old bugs go, userfaultfd, GUP and its users,
signals and locks, mmu notifiers with HMM and KVM, and fault handlers of GPUs. What is not modelled
raises ``NotModelled`` where a run gets there.
"""

from refault.linux.machine import Kernel
from refault.linux.modelled import NotModelled, modelled_function, modelled_functions
from refault.linux.process import AddressSpace
from refault.linux.uffd import UserFaultFd
from refault.linux.user import Page

__all__ = [
    "AddressSpace",
    "Kernel",
    "NotModelled",
    "Page",
    "UserFaultFd",
    "modelled_function",
    "modelled_functions",
]
