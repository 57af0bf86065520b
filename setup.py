"""Builds the native engines; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

FOLDER = "src/refault/explore/engines"
ENGINES = ("_core", "_shortest", "_dpor", "_liveness", "_sample")

extensions = [
    Extension(
        f"refault.explore.engines.{name}",
        [f"{FOLDER}/{name}.pyx"],
        depends=[f"{FOLDER}/_core.h", f"{FOLDER}/_fingerprints.h", f"{FOLDER}/_core.pxd"],
        include_dirs=[FOLDER],
        extra_compile_args=["-O3"],
    )
    for name in ENGINES
]

setup(ext_modules=cythonize(extensions, include_path=["src"], language_level=3))
