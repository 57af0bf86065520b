"""Scenarios from a file anywhere: ``path/to/file.py`` or ``path/to/file.py::name``."""

from __future__ import annotations

import difflib
import importlib.util
import inspect
import sys
import traceback
from pathlib import Path
from types import FunctionType, ModuleType

from refault.explore import UserError

from .api import Scenario, from_function
from .registry import in_module


def load_file(where: str) -> list[Scenario]:
    """The scenarios of a Python file, or the one named after ``::``.

    A scenario is what ``@scenario`` made, or else a function whose only parameter is called ``k``.
    With ``::name`` any function that takes one argument will do.
    """
    path, _, name = where.partition("::")
    module = _load(Path(path).resolve())
    if name:
        return [_named(module, name, path)]
    found = in_module(module) or [
        from_function(f) for f in _functions(module) if [*inspect.signature(f).parameters] == ["k"]
    ]
    if not found:
        raise UserError(
            f"{path} has no scenario",
            "decorate a function with @refault.scenario(...), or write: def my_story(k): …",
        )
    return found


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
    if name in scenarios:
        return scenarios[name]
    functions = {f.__name__: f for f in _functions(module)}
    if name in functions:
        return from_function(functions[name])
    near = difflib.get_close_matches(name, [*scenarios, *functions], n=3, cutoff=0.4)
    raise UserError(
        f"{path} has no scenario called {name!r}",
        f"did you mean {', '.join(near)}?" if near else f"`refault list {path}` names them",
    )


def _load(path: Path) -> ModuleType:
    if not path.is_file():
        raise UserError(f"{path}: no such file", "give the path of a Python file")
    name = f"refault_scenario_file_{abs(hash(path.resolve())):x}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path} is not a Python file", "name it with the ending .py")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except SyntaxError as e:
        raise UserError(f"{path}:{e.lineno}: not valid Python: {e.msg}", "mend the file") from e
    except UserError:
        raise
    except Exception as e:
        frames = [f for f in traceback.extract_tb(e.__traceback__) if f.filename == str(path)]
        line = frames[-1].lineno if frames else 1
        raise UserError(f"{path}:{line}: {type(e).__name__} on import: {e}", "mend the file") from e
    return module
