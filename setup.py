"""Builds the native engines; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

FOLDER = "src/refault/explore/engines"
ENGINES = (
    "_behaviour",
    "_core",
    "_parallel",
    "_shortest",
    "_dpor",
    "_liveness",
    "_sample",
    "_survey",
)
SHARED = (
    "_core.h",
    "_fingerprints.h",
    "_shared.h",
    "_crew.h",
    "_memory.h",
    "_behaviour.pxd",
    "_core.pxd",
)

extensions = [
    Extension(
        f"refault.explore.engines.{name}",
        [f"{FOLDER}/{name}.pyx"],
        depends=[f"{FOLDER}/{file}" for file in SHARED],
        include_dirs=[FOLDER],
        extra_compile_args=["-O3"],
    )
    for name in ENGINES
]

setup(ext_modules=cythonize(extensions, include_path=["src"], language_level=3))
