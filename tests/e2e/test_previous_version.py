"""Sidecars, operators and logs of the version before and of this one, together: whole processes, both ways.

An upgrade of the operator meets sidecars that live as long as their pods; a rollback meets newer ones. A sidecar's disk
(HostPath, or a container whose image was changed in place) is opened by whichever version comes next.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import injection_golden
from control_objects import config
from operator_process import control_of, document, free_port, installed, policy_of, started
from previous_version import BUILD_LIMIT, Previous, ensure
from programs import Backend
from service_tokens import Signer, publish
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp
from sidecar_process import until as within
from waiting import attempted, until

pytestmark = pytest.mark.timeout(BUILD_LIMIT + 150)
NOW = dict(os.environ)
SLOWEST = 90.0
"""Seconds: a sidecar's pause between two attempts to attach is up to 30 s."""
SAMPLING = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 1000}}, "decisionWait": "1s"}


@pytest.fixture(scope="module")
def previous() -> Previous:
    return ensure()


@pytest.fixture(params=["older sidecar", "older operator"])
def sides(request: pytest.FixtureRequest, previous: Previous) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """The environments of the operator and of the sidecar."""
    older = request.param == "older operator"
    return (previous.environment, NOW) if older else (NOW, previous.environment)


def test_the_version_before_is_what_runs(previous: Previous) -> None:
    for name in ("tracekeeper_sidecar", "tracekeeper_operator", "tracekeeper_spec", "tracekeeper_proto"):
        assert previous.package(name).is_relative_to(previous.folder)


async def test_they_attach_share_a_target_and_reload(
    tmp_path: Path, sides: tuple[Mapping[str, str], Mapping[str, str]], start_backend: Callable[..., Backend]
) -> None:
    of_operator, of_sidecar = sides
    signer, port, ends = Signer(), free_port(), [start_backend("--name", name) for name in "ab"]
    first, second = (to(end, name) for end, name in zip(ends, "ab", strict=True))
    async with installed() as api:
        publish(api, signer)
        api.put("tracingconfigs", config(sampling=SAMPLING, backends=[first]))
        listen = (f"--control-listen=127.0.0.1:{port}", "--control-service=tk-control")
        operator = partial(started, api, tmp_path, "controller", "--service=localhost", *listen)
        group = Sidecars(tmp_path)
        try:
            async with operator(environment=of_operator) as controller:
                await controller.ready()
                await until(partial(control_of, api), "the policy tells of the control stream")
                policy_of(api, tmp_path, port)
                (tmp_path / "token").write_text(signer.token(time.time(), pod="app-1", uid="uid-app-1"))
                way = (f"--policy={tmp_path}/policy.json", f"--control-token={tmp_path}/token")
                sidecar = await asyncio.to_thread(partial(group.start, *way, env=dict(of_sidecar)))
                await said(sidecar, lambda health: (health["control"] or {}).get("attached"), "it is attached")

                async def counted() -> bool:
                    return "tracekeeper_control_sidecars 1.0" in (await controller.get("/metrics"))[1]

                await attempted(counted, "the operator counts it")
                assert await asyncio.to_thread(partial(sidecar.post, 50, seed=1)) == 200
                await asyncio.to_thread(partial(arrived, ends[0], 50))

                api.put("tracingconfigs", config(sampling=SAMPLING, backends=[first, second], generation=2))
                await until(lambda: len(document(api).configs[0].spec["backends"]) == 2, "the policy is another")
                policy_of(api, tmp_path, port)
                revision = document(api).revision
                await said(sidecar, lambda health: health["revision"] == revision, "it runs the new policy")
                assert await asyncio.to_thread(partial(sidecar.post, 40, seed=2)) == 200
                await asyncio.to_thread(partial(arrived, ends[1], 40))
                assert (await asyncio.to_thread(sidecar.settled))["acknowledged"] == 90
                assert not [line for line in sidecar.lines() if line["level"] == "error"], sidecar.lines()
                assert await asyncio.to_thread(sidecar.stop) == 0
        finally:
            group.end()


def test_an_older_image_knows_every_flag_that_the_injector_writes(previous: Previous) -> None:
    """Where a new image cannot be pulled, pods get the last good one."""
    written = {
        argument.partition("=")[0]
        for name in injection_golden.names()
        for argument in re.findall(r'"(--[a-z-]+=[^"]*)"', json.dumps(injection_golden.outcome(name)))
    }
    assert {"--policy", "--data-dir", "--drain-timeout"} <= written
    command = [sys.executable, "-m", "tracekeeper_sidecar", "run", "--help"]
    told = subprocess.run(command, env=previous.environment, capture_output=True, text=True, timeout=60, check=True)
    assert written <= set(re.findall(r"--[a-z-]+", told.stdout))


@pytest.mark.parametrize("older_first", [True, False], ids=["upgrade", "rollback"])
def test_what_one_has_on_disk_the_other_delivers(
    older_first: bool, previous: Previous, sidecars: Sidecars, start_backend: Callable[..., Backend]
) -> None:
    backend = start_backend("--name", "a")
    backend.fail("unavailable")
    versions = (previous.environment, NOW) if older_first else (NOW, previous.environment)
    before = sidecars.start(config=manifest(to(backend, "a"), sampling=SAMPLING), env=dict(versions[0]))
    for seed in range(20):
        assert before.post(50, seed=seed) == 200
    before.kill()
    after = sidecars.start(env=dict(versions[1]))
    assert after.post(50, seed=20) == 200
    backend.fail("ok")
    book = after.settled()
    assert book["acknowledged"] == 1050
    arrived(backend, 1050)
    assert after.stop() == 0


def to(backend: Backend, name: str) -> dict[str, Any]:
    return otlp(name, "GRPC", backend.grpc)


def arrived(backend: Backend, spans: int) -> None:
    """Wait until a backend has so many."""
    within(lambda: len(backend.ids()) >= spans, f"{spans} spans in a backend")


async def said(sidecar: RunningSidecar, condition: Callable[[dict[str, Any]], Any], what: str) -> None:
    """Wait until its health says so."""

    async def look() -> bool:
        return bool(condition(await asyncio.to_thread(sidecar.health)))

    await attempted(look, lambda: f"{what}: {sidecar.health()}", SLOWEST)
