"""The running Python as files for a guest: the interpreter, its libraries, the modules it needs.

What of the standard library is needed is found out, not listed: another process of the same
interpreter imports what of live mode can run in a guest, with everything else out of reach, and
tells which modules that took. They go into the guest compiled.
"""

from __future__ import annotations

import json
import marshal
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from importlib.machinery import SourceFileLoader
from importlib.util import MAGIC_NUMBER
from pathlib import Path
from typing import NamedTuple

import refault

from ..abi import Unavailable
from . import elf
from .cpio import Entry, plain

PACKAGE = Path(refault.__file__).parent
PYTHON = "bin/python"
"""Where the interpreter is in the guest, below the root, which is its prefix."""

LAZILY = (
    "encodings.ascii",
    "encodings.latin_1",
    "heapq",
    "linecache",
    "tokenize",
    "traceback",
    "warnings",
)
"""What is imported late, by the interpreter itself or to tell of an error."""

_PROBE = """
import importlib, json, sys

found = {}
def note(name, spec):
    if spec is not None and spec.has_location and spec.origin:
        found[name] = [spec.origin, spec.submodule_search_locations is not None]

class NothingElse:
    def find_spec(self, name, path, target=None):
        top = name.partition(".")[0]
        if name not in ours and (top == "refault" or top not in sys.stdlib_module_names):
            raise ModuleNotFoundError(f"{name} is not for guests", name=name)
        for finder in sys.meta_path[1:]:
            if (spec := finder.find_spec(name, path, target)) is not None:
                note(name, spec)
                return spec

source, late, ours = json.loads(sys.argv[1])
sys.path.append(source)
for name, module in list(sys.modules.items()):
    note(name, getattr(module, "__spec__", None))
sys.meta_path.insert(0, NothingElse())
for name in (*ours, *late):
    try:
        importlib.import_module(name)
    except ImportError:
        found.pop(name, None)
print(json.dumps(found))
"""


class Module(NamedTuple):
    """A module by its name: where its source, or its library, is."""

    name: str
    origin: Path
    is_package: bool


def for_guests() -> list[str]:
    """Modules of this package that may run in a guest: bindings, litmus tests, jobs, the init."""
    names = ["refault", "refault.errors"]
    for path in _sources():
        parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
        parts = parts[:-1] if parts[-1] == "__init__" else parts
        if parts[2:3] != ("vm",) or parts[3:4] in ((), ("guest",)):
            names.append(".".join(parts))
    return names


def modules() -> list[Module]:
    """All modules that a guest gets, found by importing them in another process.

    A module of ours that imports what is neither ours nor the standard library's is for the host.
    """
    asked = json.dumps([str(PACKAGE.parent), LAZILY, for_guests()])
    done = subprocess.run(
        [executable(), "-E", "-S", "-B", "-P", "-c", _PROBE, asked],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    if done.returncode:
        raise Unavailable(
            f"what a guest needs cannot be imported: {done.stderr.strip().splitlines()[-1]}",
            "see whether `import refault.live.puppet` works with this Python",
        )
    found = json.loads(done.stdout).items()
    return sorted(Module(name, Path(origin), package) for name, (origin, package) in found)


@cache
def executable() -> str:
    """The interpreter itself, behind a virtual environment's links."""
    return os.path.realpath(sys.executable)


def files() -> dict[str, Entry]:
    """Entries of an archive: the interpreter, its linker and libraries, and all modules."""
    program = Path(executable())
    entries = {}
    linker = elf.interpreter(program.read_bytes())
    library = f"{sys.platlibdir}/python{sys.version_info.major}.{sys.version_info.minor}"
    needed = set(elf.libraries(linker, program)) if linker else set()
    for module in modules():
        base = f"{library}/{module.name.replace('.', '/')}"
        if module.origin.suffix == ".py":
            name = f"{base}/__init__.pyc" if module.is_package else f"{base}.pyc"
            entries[name] = plain(compiled(module))
        else:
            entries[f"{library}/lib-dynload/{module.origin.name}"] = _loaded(module.origin)
            needed.update(elf.libraries(linker, module.origin) if linker else [])
    entries[PYTHON] = _loaded(program)
    for path in needed:
        entries[f"lib/{path.name}"] = _loaded(path)
    if linker:
        entries[linker.lstrip("/")] = _loaded(Path(linker))
    return entries


def _loaded(path: Path) -> Entry:
    return plain(elf.stripped(path.read_bytes()), executable=True)


def compiled(module: Module) -> bytes:
    """A module compiled, in the form of a ``.pyc`` that is not checked against its source."""
    code = SourceFileLoader(module.name, str(module.origin)).get_code(module.name)
    return bytes(MAGIC_NUMBER + (1).to_bytes(4, "little") + bytes(8) + marshal.dumps(code))


def identity() -> Iterator[bytes]:
    """What the files depend on, for a name of the archive: this Python, and our sources."""
    program = Path(executable())
    linker = elf.interpreter(program.read_bytes())
    for path in (program, *(elf.libraries(linker, program) if linker else ())):
        known = path.stat()
        yield repr((str(path), sys.version, known.st_size, known.st_mtime_ns)).encode()
    sources = [PACKAGE / "__init__.py", PACKAGE / "errors.py", *_sources()]
    for path in sources:
        yield path.relative_to(PACKAGE).as_posix().encode()
        yield path.read_bytes()


def _sources() -> list[Path]:
    """Where what guests get of ours may come from, and what packs it."""
    return sorted([*(PACKAGE / "litmus").glob("*.py"), *(PACKAGE / "live").rglob("*.py")])
