"""What a TracingConfig's status says of its pods, after a change: a whole operator and a whole sidecar."""

from __future__ import annotations

import asyncio
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from control_api import Api
from control_objects import config
from operator_process import control_of, document, free_port, installed, policy_of, started
from service_tokens import Signer, publish
from sidecar_process import Sidecars
from waiting import until

SLOWEST = 60.0
"""Seconds: a sidecar's pause between two attempts to attach is up to 30 s."""
POD = {
    "metadata": {
        "namespace": "shop",
        "name": "app-1",
        "uid": "uid-app-1",
        "labels": {"tracekeeper.dev/injected": "true"},
        "annotations": {"tracekeeper.dev/inject": "true"},
    },
    "spec": {"containers": [{"name": "app"}], "initContainers": [{"name": "tracekeeper-sidecar"}]},
    "status": {"phase": "Running"},
}


@pytest.mark.timeout(240)  # three waits
async def test_the_status_says_when_all_sidecars_run_a_change(tmp_path: Path) -> None:
    signer, port = Signer(), free_port()
    async with installed() as api:
        publish(api, signer)
        api.put("pods", POD)
        api.put("tracingconfigs", config())
        listen = (f"--control-listen=127.0.0.1:{port}", "--control-service=tk-control")
        group = Sidecars(tmp_path)
        try:
            async with started(api, tmp_path, "controller", "--service=localhost", *listen) as controller:
                await controller.ready()
                await until(partial(control_of, api), "the policy tells of the control stream")
                policy_of(api, tmp_path, port)
                (tmp_path / "token").write_text(signer.token(time.time(), pod="app-1", uid="uid-app-1"))
                way = (f"--policy={tmp_path}/policy.json", f"--control-token={tmp_path}/token")
                await asyncio.to_thread(partial(group.start, *way))
                await until(lambda: running(api) == (1, 1, 0), lambda: f"it runs the policy: {status(api)}", SLOWEST)
                before = document(api).revision
                api.put("tracingconfigs", config(logLevel="Warning", generation=2))
                await until(lambda: document(api).revision > before, "the policy is another")
                await until(lambda: running(api) == (1, 0, 1), lambda: f"it does not yet: {status(api)}", SLOWEST)
                policy_of(api, tmp_path, port)
                await until(lambda: running(api) == (1, 1, 0), lambda: f"it runs this one: {status(api)}", SLOWEST)
        finally:
            group.end()


def status(api: Api) -> dict[str, Any]:
    found: dict[str, Any] = api.get("tracingconfigs", "shop", "agents").get("status", {})
    return found


def running(api: Api) -> tuple[int, int, int]:
    """Pods that are injected, those whose sidecar runs the policy, and those whose sidecar runs an older one."""
    pods = status(api).get("pods", {})
    return pods.get("injected", 0), pods.get("current", 0), pods.get("stale", 0)
