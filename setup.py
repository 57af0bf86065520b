"""Builds the native core; everything else is declared in pyproject.toml."""

from Cython.Build import cythonize
from setuptools import Extension, setup

core = Extension(
    "refault.explore._core",
    ["src/refault/explore/_core.pyx"],
    depends=["src/refault/explore/_core.h"],
    include_dirs=["src/refault/explore"],
    extra_compile_args=["-O3", "-fno-strict-aliasing"],
)

setup(ext_modules=cythonize([core], language_level=3))
