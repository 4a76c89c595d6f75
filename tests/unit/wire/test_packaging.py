"""What pip installs has the compiled modules, with their types and C library: built as for the images, sdist first."""

from __future__ import annotations

import ast
import json
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

# Runs against the unpacked wheel alone, in one process, so that both halves suffer alike from what else goes on. A
# compiled module without types is hardly faster than the plain one; with them it is faster by a factor of 50 and more.
TIMING = """
import importlib, importlib.util, json, sys, time
site, body = sys.argv[1], open(sys.argv[2], "rb").read()
sys.path.insert(0, site)
from tracekeeper_spec.condition import compile_condition
code = compile_condition('span.duration > 1s && span.attributes["key.7"] == "x"')

def load(plain):
    found = {}
    for name in ("walker", "meter", "program", "scan", "match"):
        full = "tracekeeper_sidecar.wire." + name
        if plain:
            spec = importlib.util.spec_from_file_location(full, f"{site}/{full.replace('.', '/')}.py")
            sys.modules[full] = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(sys.modules[full])
        found[name] = importlib.import_module(full)
    return found

def best(action, rounds):
    times = []
    for _ in range(rounds):
        begin = time.perf_counter()
        action()
        times.append(time.perf_counter() - begin)
    return min(times)

compiled = {name: importlib.import_module(name) for name in json.loads(sys.argv[3])}
ratios = {}
halves = [(load(False), 20), (load(True), 2)]
for name in ("scan", "match"):
    taken = []
    for modules, rounds in halves:
        matcher = modules["match"].Matcher(code)
        action = {"scan": lambda: modules["scan"].look(body), "match": lambda: matcher.split(body)}[name]
        taken.append(best(action, rounds))
    ratios[name] = taken[1] / taken[0]
print(json.dumps({"files": {name: module.__file__ for name, module in compiled.items()}, "ratios": ratios}))
"""
LIMIT = 240
"""Seconds for a build: the compilers have some minutes of one core to do on a machine that is busy."""


def run(*command: str, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=550, check=False)
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


@pytest.mark.timeout(LIMIT)
def test_the_sdist_carries_the_types(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = [name.partition("/")[2] for name in archive.getnames()]
    assert "sidecar/tracekeeper_sidecar/wire/scan.pxd" in names
    assert {f"sidecar/tracekeeper_sidecar/receive/h2/{name}" for name in H2} <= set(names)
    assert not [name for name in names if name.endswith((".c", ".so"))]


def hot_modules() -> list[str]:
    """Those that setup.py compiles and that run uncompiled, too."""
    tree = ast.parse((ROOT / "setup.py").read_text(encoding="utf-8"))
    values = [
        node.value for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "HOT"
    ]
    found: list[str] = eval(ast.unparse(values[0]))
    return found


@pytest.mark.timeout(2 * LIMIT)
def test_the_wheel_carries_sources_types_and_compiled_modules(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    found = hot_modules()
    assert {f"tracekeeper_sidecar.wire.{name}" for name in ("scan", "meter", "match", "program", "walker")} <= set(
        found
    )
    for module in found:
        path = module.replace(".", "/")
        assert f"{path}.py" in names and f"{path}.pxd" in names
        assert [name for name in names if name.startswith(f"{path}.") and name.endswith(".so")], module
    assert not [name for name in names if name.endswith(".c")]
    assert {"tracekeeper_spec/prices.json", "tracekeeper_spec/prices.LICENSE"} <= set(names)


@pytest.mark.timeout(2 * LIMIT)
def test_the_modules_that_are_loaded_are_compiled_and_typed(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    (tmp_path / "body").write_bytes(otlp_requests.body(100, attributes=10))
    modules = json.dumps(hot_modules())
    out = run(sys.executable, "-c", TIMING, str(site), str(tmp_path / "body"), modules, cwd=tmp_path)
    found = json.loads(out)
    assert all(file.endswith(".so") and file.startswith(str(site)) for file in found["files"].values()), found
    assert min(found["ratios"].values()) >= 5, found
