"""The architecture shows in the folders: imports point down."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import refault

ROOT = Path(refault.__file__).parent
LAYERS = ("cli", "report", "scenarios", "live", "litmus", "patches", "linux", "explore", "plugins")


def imported(path: Path) -> set[str]:
    """Names of the layers that a module imports, at its top or inside a function."""
    package = ("refault", *path.relative_to(ROOT).parts[:-1])
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names = [a.name for a in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            stem = ".".join([*base, node.module] if node.module else base)
            names = [stem, *(f"{stem}.{a.name}" for a in node.names)]
        else:
            continue
        found |= {n.split(".")[1] for n in names if n.startswith("refault.")}
    return found & set(LAYERS)


@pytest.mark.parametrize("layer", LAYERS)
def test_imports_point_down(layer: str) -> None:
    allowed = set(LAYERS[LAYERS.index(layer) :])
    files = sorted((ROOT / layer).rglob("*.py"))
    assert files, f"layer {layer} has no modules"
    wrong = {f"{f.relative_to(ROOT)} imports {up}" for f in files for up in imported(f) - allowed}
    assert not wrong


def test_what_stands_beside_the_layers_imports_none() -> None:
    """Everybody may raise an error, so what errors are made of lies below all."""
    assert imported(ROOT / "errors.py") == set()


def test_every_folder_is_a_layer() -> None:
    folders = {d.name for d in ROOT.iterdir() if d.is_dir() and (d / "__init__.py").exists()}
    assert folders == set(LAYERS)


def test_the_explorer_knows_nothing_of_linux() -> None:
    words = ("linux", "kernel", "mmap", "uffd", "userfault")
    for path in (ROOT / "explore").glob("*.py"):
        code = ast.parse(path.read_text())
        names = {n.id for n in ast.walk(code) if isinstance(n, ast.Name)}
        names |= {n.name for n in ast.walk(code) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        assert not [n for n in names if any(w in n.lower() for w in words)], path


def test_no_module_is_a_monster() -> None:
    """Modules of 80 to 250 lines; the hard cap leaves room for an essay at the head."""
    long = {
        str(p.relative_to(ROOT)): n
        for p in ROOT.rglob("*.py")
        if (n := len(p.read_text().splitlines())) > 360
    }
    assert not long
