"""Other kernels than the running one: in an emulator, with this Python inside.

``Machine`` boots a kernel, given by a path or as a package of a distribution (``kernel``), and runs
modules of live mode in it (``guest``). Nothing of the host is changed: no privilege is needed, no
kernel is installed, and no file is left but those in the user's cache.
"""
