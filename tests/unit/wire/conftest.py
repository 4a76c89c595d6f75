"""The scanner twice: as it is imported, which is compiled after `make setup`, and as plain Python always."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from tracekeeper_sidecar import wire
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.meter import Sight

FOLDER = Path(wire.__path__[0])
Look = Callable[[bytes], Sight]


def plain_modules(*names: str) -> Iterator[list[ModuleType]]:
    """Modules of `wire` from their .py files, whatever was compiled; each sees those before it, nobody else does."""
    with pytest.MonkeyPatch.context() as patch:
        loaded = []
        for name in names:
            full = f"tracekeeper_sidecar.wire.{name}"
            spec = importlib.util.spec_from_file_location(full, FOLDER / f"{name}.py")
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            patch.setitem(sys.modules, full, module)
            spec.loader.exec_module(module)
            loaded.append(module)
        yield loaded


@pytest.fixture(scope="session")
def plain_look() -> Look:
    """`look` from the .py files."""
    (modules,) = plain_modules("meter", "scan")
    look: Look = modules[-1].look
    return look


@pytest.fixture(scope="session", params=["imported", "plain"])
def look(request: pytest.FixtureRequest, plain_look: Look) -> Look:
    return scan.look if request.param == "imported" else plain_look


@pytest.fixture(scope="session")
def count_spans(look: Look) -> Callable[[bytes], int]:
    return lambda body: look(body).spans


@pytest.fixture(scope="session")
def plain(plain_look: Look) -> Callable[[bytes], int]:
    return lambda body: plain_look(body).spans


@pytest.fixture(scope="session")
def plain_match() -> ModuleType:
    """The module `match` from its .py file, and those that it is built on."""
    (modules,) = plain_modules("walker", "program", "match")
    return modules[-1]


@pytest.fixture(scope="session")
def plain_shard() -> ModuleType:
    """The module `shard` from its .py file, and what it is built on."""
    (modules,) = plain_modules("walker", "shard")
    return modules[-1]


@pytest.fixture(scope="session")
def plain_labels() -> ModuleType:
    """The module `labels` from its .py file."""
    (modules,) = plain_modules("labels")
    return modules[-1]


@pytest.fixture(scope="session")
def plain_pricing() -> tuple[ModuleType, ModuleType]:
    """The modules `pricing` and `tariffs` from their .py files, and what they are built on."""
    under = ("walker", "component", "rows", "tariffs", "calls", "slabs", "table", "trace_costs", "came", "edits")
    names = (*under, "pricing")
    (modules,) = plain_modules(*names)
    return modules[-1], modules[names.index("tariffs")]


SAMPLING = (
    *(
        "walker",
        "component",
        "calls",
        "detected",
        "program",
        "match",
        "probability",
        "slabs",
        "sums",
        "traces",
        "keys",
        "fold",
        "keep",
        "verdict",
    ),
    *("remembered", "told", "pick"),
)


@pytest.fixture(scope="session")
def plain_sampling() -> SimpleNamespace:
    """The modules that sampling takes, from their .py files, by their names."""
    (modules,) = plain_modules(*SAMPLING)
    return SimpleNamespace(**dict(zip(SAMPLING, modules, strict=True)))


@pytest.fixture(scope="session", params=["imported", "plain"])
def sampling(request: pytest.FixtureRequest, plain_sampling: SimpleNamespace) -> SimpleNamespace:
    if request.param == "plain":
        return plain_sampling
    return SimpleNamespace(**{name: importlib.import_module(f"tracekeeper_sidecar.wire.{name}") for name in SAMPLING})
