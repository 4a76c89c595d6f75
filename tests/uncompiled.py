"""Compiled modules once more, as the plain Python that they are written in."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import tracekeeper_sidecar.wire as wire


def plain(*names: str) -> list[ModuleType]:
    """Modules of `wire` run from their sources, in this order; those that come later see those before."""
    kept: dict[str, ModuleType | None] = {name: sys.modules.get(f"{wire.__name__}.{name}") for name in names}
    found = []
    try:
        for name in names:
            path = Path(wire.__file__ or "").with_name(f"{name}.py")
            spec = importlib.util.spec_from_file_location(f"{wire.__name__}.{name}", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            sys.modules[spec.name] = module
            spec.loader.exec_module(module)
            found.append(module)
    finally:
        for name, before in kept.items():
            if before is None:
                sys.modules.pop(f"{wire.__name__}.{name}", None)
            else:
                sys.modules[f"{wire.__name__}.{name}"] = before
    return found
