"""Paths (``fs/namei.c``), as far as they are strings of the user."""

from __future__ import annotations

from refault.linux.include.linux.mm_types import MmStruct
from refault.linux.include.uapi.errno import ENAMETOOLONG, ENOENT
from refault.linux.lib.strncpy_from_user import do_strncpy_from_user
from refault.linux.modelled import NotModelled, kernel_function

PATH_MAX = 4096


@kernel_function("fs/namei.c", label="getname()")
def getname_flags(mm: MmStruct, address: int) -> int:
    """Fetch a path; its length, or -errno."""
    length = do_strncpy_from_user(mm, address, PATH_MAX)
    if length == PATH_MAX:
        return -ENAMETOOLONG
    return length or -ENOENT


@kernel_function("fs/open.c", label="access()")
def do_faccessat(mm: MmStruct, address: int) -> int:
    """Look whether a file is there; -errno where already its path is no good."""
    length = getname_flags(mm, address)
    if length > 0:
        raise NotModelled("access() of a path that could be one")
    return length
