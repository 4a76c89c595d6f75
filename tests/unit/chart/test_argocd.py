"""What is shipped for Argo CD: fields that it should not call drift, and how healthy it may call a TracingConfig."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from chart_render import DEFAULT, ROOT, Helm, named, of_kind, render
from foreign_clients import GLUA
from tracekeeper_operator import names

FOLDER = ROOT / "examples/argocd"
CHECK = "resource.customizations.health.tracekeeper.dev_TracingConfig"


def condition(kind: str, status: str, reason: str = "Because", generation: int = 3) -> dict[str, Any]:
    message = f"{kind} is {status}"
    return {"type": kind, "status": status, "reason": reason, "message": message, "observedGeneration": generation}


def config(*conditions: dict[str, Any], suspend: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": {"generation": 3}, "spec": {"suspend": suspend}}
    return found | ({"status": {"conditions": list(conditions)}} if conditions else {})


WELL = [condition("Accepted", "True"), condition("ResolvedRefs", "True"), condition("Ready", "True")]


def lua(value: Any) -> str:
    """A value as Lua writes it."""
    match value:
        case bool():
            return str(value).lower()
        case dict():
            return "{" + ", ".join(f"[{lua(key)}] = {lua(item)}" for key, item in value.items()) + "}"
        case list():
            return "{" + ", ".join(map(lua, value)) + "}"
        case str():
            return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return repr(value)


async def health(obj: dict[str, Any], folder: Path) -> tuple[str, str]:
    check = yaml.safe_load((FOLDER / "health.yaml").read_text())["data"][CHECK]
    script = folder / "health.lua"
    script.write_text(
        f"obj = {lua(obj)}\nlocal function check()\n{check}\nend\n"
        'local found = check()\nprint(found.status .. "|" .. found.message)\n'
    )
    program = GLUA.start(await asyncio.to_thread(GLUA.ensure))
    done = await asyncio.to_thread(
        subprocess.run, [*program, str(script)], capture_output=True, text=True, check=False, timeout=30
    )
    status, _, message = done.stdout.strip().partition("|")
    assert status, done.stderr
    return status, message


@pytest.mark.timeout(300)  # The first run on a machine that was not set up builds the program.
@pytest.mark.parametrize(
    ("obj", "status", "says"),
    [
        (config(), "Progressing", "not looked at it yet"),
        (config(*WELL), "Healthy", "Ready is True"),
        (config(*WELL, suspend=True), "Suspended", "Ready is True"),
        (config(condition("Accepted", "False", "Invalid")), "Degraded", "Invalid: Accepted is False"),
        (config(*WELL[:1], condition("ResolvedRefs", "False", "SecretNotFound")), "Degraded", "SecretNotFound"),
        (config(*WELL[:2], condition("Ready", "False", "PublishFailed")), "Degraded", "PublishFailed"),
        (config(*WELL[:2], condition("Ready", "Unknown")), "Progressing", "not looked at it yet"),
        (config(*(each | {"observedGeneration": 2} for each in WELL)), "Progressing", "not looked at it yet"),
        (config(*WELL, condition("Delivering", "False", "Outage")), "Healthy", "Ready is True"),
    ],
)
async def test_health_follows_the_conditions(obj: dict[str, Any], status: str, says: str, tmp_path: Path) -> None:
    found, message = await health(obj, tmp_path)
    assert found == status
    assert says in message


def ignored() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = yaml.safe_load((FOLDER / "application.yaml").read_text())["spec"]["ignoreDifferences"]
    return found


@pytest.mark.cluster  # For Helm.
def test_what_is_ignored_is_what_the_controller_writes_into_objects_of_the_chart(helm: Helm) -> None:
    objects = render(helm, "-f", DEFAULT)
    written = {
        ("Secret", names.TLS_SECRET): ["/data"],
        ("ConfigMap", names.CA_CONFIG_MAP): ["/data"],
        ("ConfigMap", names.IMAGES_CONFIG_MAP): ["/data"],
    }
    for entry in ignored():
        if entry["kind"].endswith("WebhookConfiguration"):
            assert entry["jqPathExpressions"] == [".webhooks[].clientConfig.caBundle"]
            for found in of_kind(objects, entry["kind"]):
                assert all("caBundle" not in webhook["clientConfig"] for webhook in found["webhooks"])
            continue
        assert written.pop((entry["kind"], entry["name"])) == entry["jsonPointers"]
        found = named(objects, entry["kind"], entry["name"])
        assert found["metadata"]["namespace"] == entry["namespace"]
        assert "data" not in found
    assert written == {}
    assert {entry["kind"] for entry in ignored()} >= {"MutatingWebhookConfiguration", "ValidatingWebhookConfiguration"}


def test_a_sync_leaves_these_fields_alone() -> None:
    options = yaml.safe_load((FOLDER / "application.yaml").read_text())["spec"]["syncPolicy"]["syncOptions"]
    assert "RespectIgnoreDifferences=true" in options
