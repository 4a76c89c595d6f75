"""Golden fixtures of injection: tests/unit/control/golden/NAME.yaml in, NAME.patch.json out.

A fixture has `pod`, and may have `configs` (TracingConfigs), `namespace` (shop), `byNamespace` (false), `hostPaths`
(`path` and `namespaces`; nowhere), `registries`, `pullSecrets`, `limitRanges` and `resourceQuotas` (their `spec`). The
expected outcome holds what `inject` returns: a patch, or a skip with its reason. After an intended change, write them
anew and read the difference:

    python tests/injection_golden.py
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from control_objects import OPTIONS, scope
from tracekeeper_operator.bounds import Bounds, Limits
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
    namespace = fixture.get("namespace", "shop")
    options = replace(
        OPTIONS,
        host_paths=host_paths,
        registries=tuple(fixture.get("registries", ())),
        pull_secrets=tuple(fixture.get("pullSecrets", ())),
    )
    found = inject(
        fixture["pod"],
        scope(configs, namespace),
        options,
        by_namespace=fixture.get("byNamespace", False),
        bounds=bounds(namespace, fixture.get("limitRanges", []), fixture.get("resourceQuotas", [])),
    )
    if isinstance(found, Skip):
        return {"skip": found.reason, "message": found.message, "silent": found.silent}
    return {
        "resolvedFrom": found.resolved_from,
        "message": found.message,
        "warning": found.warning,
        "patch": list(found.patch),
    }


def bounds(namespace: str, ranges: list[dict[str, Any]], quotas: list[dict[str, Any]]) -> Bounds:
    """What these LimitRanges and ResourceQuotas, given by their `spec`, ask of the namespace's containers."""
    limits = Limits()
    for memory, specs in ((limits.ranges, ranges), (limits.quotas, quotas)):
        meta = [{"name": f"given-{number}", "namespace": namespace} for number in range(len(specs))]
        memory.replace({"metadata": header, "spec": spec} for header, spec in zip(meta, specs, strict=True))
    return limits.of(namespace)


def expected(name: str) -> Path:
    return FOLDER / f"{name}.patch.json"


def main() -> None:
    for name in names():
        expected(name).write_text(json.dumps(outcome(name), indent=2) + "\n")
        print(f"wrote {expected(name)}")


if __name__ == "__main__":
    main()
