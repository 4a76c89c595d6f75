"""Only the list of compiled modules; everything else is in pyproject.toml.

Each module is plain Python with an augmenting .pxd beside it: uncompiled it runs the same, only slower.
"""

from Cython.Build import cythonize
from setuptools import Extension, setup

HOT = ["tracekeeper_sidecar.wire.scan"]


def extension(module: str) -> Extension:
    # -O3, because at -O2 the compiler leaves the loops over text as they are: one byte at a time.
    return Extension(module, [f"sidecar/{module.replace('.', '/')}.py"], extra_compile_args=["-O3"])


setup(ext_modules=cythonize([extension(module) for module in HOT], build_dir="build", language_level=3))
