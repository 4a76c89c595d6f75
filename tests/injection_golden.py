"""Golden fixtures of injection: tests/unit/control/golden/NAME.yaml in, NAME.patch.json out.

A fixture has `pod`, and may have `configs` (TracingConfigs), `namespace` (shop), `byNamespace` (false) and `hostPaths`
(`path` and `namespaces`; nowhere). The expected
outcome holds what `inject` returns: a patch, or a skip with its reason. After an intended change, write them anew and
read the difference:

    python tests/injection_golden.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from control_objects import OPTIONS
from tracekeeper_operator.inject import Skip, inject
from tracekeeper_operator.storage import HostPaths
from tracekeeper_spec.parse import parse_manifest

FOLDER = Path(__file__).parent / "unit" / "control" / "golden"


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def outcome(name: str) -> dict[str, Any]:
    """What injection does to a fixture."""
    fixture = yaml.safe_load((FOLDER / f"{name}.yaml").read_text())
    configs = []
    for manifest in fixture.get("configs", []):
        config, faults = parse_manifest(manifest)
        assert config is not None, [str(fault) for fault in faults]
        configs.append(config)
    allowed = fixture.get("hostPaths", {})
    host_paths = HostPaths(allowed.get("path", ""), tuple(allowed.get("namespaces", ())))
    found = inject(
        fixture["pod"],
        fixture.get("namespace", "shop"),
        configs,
        replace(OPTIONS, host_paths=host_paths),
        by_namespace=fixture.get("byNamespace", False),
    )
    if isinstance(found, Skip):
        return {"skip": found.reason, "message": found.message, "silent": found.silent}
    return {
        "resolvedFrom": found.resolved_from,
        "message": found.message,
        "warning": found.warning,
        "patch": list(found.patch),
    }


def expected(name: str) -> Path:
    return FOLDER / f"{name}.patch.json"


def main() -> None:
    for name in names():
        expected(name).write_text(json.dumps(outcome(name), indent=2) + "\n")
        print(f"wrote {expected(name)}")


if __name__ == "__main__":
    main()
