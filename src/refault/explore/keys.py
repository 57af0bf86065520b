"""Keys of values and histories that mean the same in every process.

A state's fingerprint is the exclusive or of one 64-bit key per slot. The keys are hashes of what
the slot holds, not of the numbers that it was given in this run: so a search can go on in
another process, on another machine or after a crash, and its table of fingerprints still means
what it meant.
"""

from __future__ import annotations

import dataclasses
import functools
from enum import Enum
from hashlib import blake2b
from pathlib import Path
from types import CodeType, FunctionType, MethodType

from .operation import typed


def canonical(value: object) -> str:
    """A text for a value, the same in every process."""
    if isinstance(value, Enum):
        return f"{canonical(type(value))}.{value.name}"
    if isinstance(value, frozenset):
        return f"{{{','.join(sorted(map(canonical, value)))}}}"
    if isinstance(value, tuple):
        return f"{canonical(type(value))}({','.join(map(canonical, value))})"
    if isinstance(value, type):
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, functools.partial):
        return f"partial{canonical((value.func, value.args, *sorted(value.keywords.items())))}"
    if isinstance(value, MethodType):
        return f"{canonical(value.__func__)}@{canonical(value.__self__)}"
    if isinstance(value, FunctionType):
        captured = tuple(c.cell_contents for c in value.__closure__ or ())
        return f"{value.__module__}.{canonical(value.__code__)}{canonical(captured)}"
    if isinstance(value, CodeType):
        return f"{Path(value.co_filename).name}:{value.co_firstlineno} {value.co_qualname}"
    if dataclasses.is_dataclass(value):
        fields = ",".join(canonical(getattr(value, f.name)) for f in dataclasses.fields(value))
        return f"{canonical(type(value))}({fields})"
    return repr(value)


def key(*parts: object) -> int:
    """A 64-bit hash of the canonical texts of ``parts``."""
    text = "\x1f".join(p if isinstance(p, str) else canonical(p) for p in parts)
    return int.from_bytes(
        blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "little"
    )


def value_key(cell: int, value: object) -> int:
    """The key of a value in the slot of a cell."""
    return key("cell", str(cell), typed(value))
