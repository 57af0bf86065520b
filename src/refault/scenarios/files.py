"""Scenarios from a file anywhere: ``path/to/file.py`` or ``path/to/file.py::name``."""

from __future__ import annotations

import difflib
import hashlib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import FunctionType, ModuleType

from refault.explore import UserError
from refault.patches import canonical

from .api import Scenario, from_function, locate, shown
from .registry import in_module


def load_file(where: str) -> list[Scenario]:
    """The scenarios of a Python file, or the one named after ``::``.

    A scenario is what ``@scenario`` made, or else a function whose only parameter is called ``k``.
    With ``::name`` any function that takes one argument will do. Modules beside the file can be
    imported by it, as by a script.
    """
    path, _, name = where.partition("::")
    module = _load(path)
    if name:
        return [_checked(_named(module, name, path))]
    found = in_module(module) or [
        from_function(f) for f in _functions(module) if [*inspect.signature(f).parameters] == ["k"]
    ]
    if not found:
        raise UserError(
            f"{path} has no scenario",
            "decorate a function with @refault.scenario(...), or write: def my_story(k): …",
        )
    return [*map(_checked, found)]


def _functions(module: ModuleType) -> list[FunctionType]:
    own = [
        f
        for f in vars(module).values()
        if isinstance(f, FunctionType) and f.__module__ == module.__name__
    ]
    return sorted(own, key=lambda f: f.__code__.co_firstlineno)


def _named(module: ModuleType, name: str, path: str) -> Scenario:
    scenarios = {getattr(s.story, "__name__", s.id): s for s in in_module(module)}
    scenarios |= {s.id: s for s in in_module(module)}
    functions = {f.__name__: f for f in _functions(module)}
    for spelling in (name, name.replace("-", "_")):
        if spelling in scenarios:
            return scenarios[spelling]
        if spelling in functions:
            return from_function(functions[spelling])
    near = difflib.get_close_matches(name, [*scenarios, *functions], n=3, cutoff=0.4)
    raise UserError(
        f"{path} has no scenario called {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"`refault list {path}` names them",
    )


def _checked(scenario: Scenario) -> Scenario:
    """Look whether the variants of its expectations mean anything."""
    try:
        for variant in scenario.variants:
            canonical(variant)
    except UserError as e:
        locate(e, f"{shown(scenario.file)}:{scenario.line}: expectation of {scenario.id}")
        raise
    return scenario


def _load(given: str) -> ModuleType:
    path = _resolved(given)
    name = f"refault_scenario_file_{hashlib.sha256(bytes(path)).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{given} is not a Python file", "name it with the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    if str(path.parent) not in sys.path:
        sys.path.insert(0, str(path.parent))
    try:
        spec.loader.exec_module(module)
    except SyntaxError as e:
        where = given if e.filename in (None, str(path)) else e.filename
        line = f":{e.lineno}" if e.lineno else ""
        raise UserError(f"{where}{line}: not valid Python: {e.msg}", "mend the file") from e
    except UserError:
        raise
    except (Exception, SystemExit) as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename == str(path)]
        line = f":{frames[-1].lineno}" if frames else ""
        raise UserError(f"{given}{line}: {type(e).__name__} on import: {e}", _remedy(e)) from e
    return module


def _resolved(given: str) -> Path:
    try:
        path = Path(given).resolve()
        if path.is_file():
            return path
        what = "is a folder" if path.is_dir() else "no such file"
    except (OSError, ValueError) as e:
        what = str(getattr(e, "strerror", e))
    raise UserError(f"{given}: {what}", "give the path of a Python file")


def _remedy(error: BaseException) -> str:
    if isinstance(error, ImportError) and "relative import" in str(error):
        return "a scenario file is in no package: write `import x` for an x.py beside it"
    return "mend the file"
