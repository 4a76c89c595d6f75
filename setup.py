"""Only the lists of compiled modules; everything else is in pyproject.toml.

Each hot module is plain Python with an augmenting .pxd beside it: uncompiled it runs the same, only slower. Glue is
written for Cython alone, and needs the C library that it is glue to, with its headers (Debian: libnghttp2-dev).
"""

import os
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup

HOT = [
    *(f"tracekeeper_sidecar.http.{name}" for name in ("answer", "connection", "exchange", "head")),
    "tracekeeper_sidecar.log.codec",
    "tracekeeper_sidecar.log.tail",
    *(f"tracekeeper_sidecar.receive.{name}" for name in ("otlp_http", "upload")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("match", "meter", "program", "scan", "walker")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("fold", "keep", "keys", "probability", "remembered", "traces")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("pick", "shard", "slabs", "sums", "told", "verdict")),
    *(
        f"tracekeeper_sidecar.wire.{name}"
        for name in ("calls", "component", "counts", "held", "labels", "rows", "table")
    ),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("came", "detected", "edits", "trace_costs")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("pricing", "redact", "splice", "tally", "tariffs", "waiting")),
    *(
        f"tracekeeper_sidecar.wire.{name}"
        for name in ("normalize", "normalize_answers", "normalize_repeats", "normalize_span", "normalize_usage")
    ),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("addresses", "attributes", "drop", "numbers")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("detect", "detect_calls", "detect_known")),
    *(f"tracekeeper_sidecar.wire.{name}" for name in ("detect_handoffs", "detect_models", "detect_span")),
]
GLUE = {"tracekeeper_sidecar.receive.h2.session": ["nghttp2"]}


def extension(module: str) -> Extension:
    # -O3, because at -O2 the compiler leaves the loops over text as they are: one byte at a time.
    path = Path("sidecar", *module.split("."))
    headers = str(path.parent)  # C beside a module, as log/native.h
    return Extension(module, [f"{path}.py"], include_dirs=[headers], extra_compile_args=["-O3", "-g0"])


def glue(module: str, libraries: list[str]) -> Extension:
    path = Path("sidecar", *module.split("."))
    return Extension(module, [f"{path}.pyx"], libraries=libraries, extra_compile_args=["-g0"])


modules = [*(extension(module) for module in HOT), *(glue(*each) for each in GLUE.items())]
cores = len(os.sched_getaffinity(0))
setup(
    ext_modules=cythonize(
        modules, build_dir="build", include_path=["sidecar"], language_level=3, nthreads=cores if cores > 1 else 0
    ),
    options={"build_ext": {"parallel": cores}},
)
