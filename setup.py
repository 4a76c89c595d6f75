"""Only the list of compiled modules; everything else is in pyproject.toml.

Each module is plain Python with an augmenting .pxd beside it: uncompiled it runs the same, only slower.
"""

from Cython.Build import cythonize
from setuptools import setup

HOT = ["sidecar/tracekeeper_sidecar/wire/scan.py"]

setup(ext_modules=cythonize(HOT, build_dir="build", language_level=3))
