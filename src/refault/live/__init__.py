"""Real kernels: the same situations as in the model, made and observed from user space.

Bindings without dependencies for what the kernel offers here (``userfaultfd``, ``proc``, …), and a
*puppet*: a process whose threads do single loads, stores and system calls on command.
"""
