"""Whole sidecars and a whole operator: found by the policy, taken in by tokens, and each without the other."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

from control_api import Api
from control_objects import config
from operator_process import Program, control_of, document, free_port, installed, started
from service_tokens import Signer, publish
from sidecar_process import RunningSidecar, Sidecars
from waiting import attempted, until

PODS = ("app-1", "app-2")
SAMPLING = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 100}}}
SLOWEST = 90.0
"""Seconds: a sidecar's pause between two attempts is up to 30 s, and a busy machine takes its time."""


class Pods:
    """Sidecars, each with a policy and a token as the kubelet would put them there."""

    def __init__(self, api: Api, folder: Path, signer: Signer, port: int) -> None:
        self._api, self._folder, self._signer, self._port = api, folder, signer, port
        self._groups: list[Sidecars] = []
        self.running: list[RunningSidecar] = []

    def start(self, name: str) -> None:
        folder = self._folder / name
        folder.mkdir()
        control = control_of(self._api)
        assert control is not None and control.endpoint == "tk-control.tk.svc:9444"
        # There is no DNS for a Service's name here, and the port is a free one.
        here = replace(document(self._api), control=replace(control, endpoint=f"localhost:{self._port}"))
        (folder / "policy.json").write_text(here.to_json())
        (folder / "token").write_text(self._signer.token(time.time(), pod=name, uid=f"uid-{name}"))
        group = Sidecars(folder)
        self._groups.append(group)
        self.running.append(group.start(f"--policy={folder}/policy.json", f"--control-token={folder}/token"))

    def attached(self) -> list[bool]:
        return [bool((found.health()["control"] or {}).get("attached")) for found in self.running]

    def end(self) -> None:
        for group in self._groups:
            group.end()


@contextmanager
def pods_of(api: Api, folder: Path, signer: Signer, port: int) -> Iterator[Pods]:
    pods = Pods(api, folder, signer, port)
    try:
        yield pods
    finally:
        pods.end()


async def are(pods: Pods, attached: bool) -> None:
    async def look() -> bool:
        return await asyncio.to_thread(pods.attached) == [attached] * len(PODS)

    await attempted(look, lambda: f"all attached={attached}: {[pod.health() for pod in pods.running]}", SLOWEST)


async def counted(controller: Program, sidecars: int) -> None:
    async def look() -> bool:
        return f"tracekeeper_control_sidecars {sidecars}.0" in (await controller.get("/metrics"))[1]

    await attempted(look, "the operator counts them")


async def test_sidecars_find_the_operator_and_come_back_after_it(tmp_path: Path) -> None:
    signer, port = Signer(), free_port()
    async with installed() as api:
        publish(api, signer)
        api.put("tracingconfigs", config(sampling=SAMPLING))
        listen = f"--control-listen=127.0.0.1:{port}"
        operator = partial(
            started, api, tmp_path, "controller", "--service=localhost", "--control-service=tk-control", listen
        )
        with pods_of(api, tmp_path, signer, port) as pods:
            async with operator() as controller:
                await controller.ready()
                await until(partial(control_of, api), "the policy tells of the control stream")
                for name in PODS:
                    await asyncio.to_thread(pods.start, name)
                await are(pods, attached=True)
                await counted(controller, len(PODS))
                authority = document(api).control
                controller.process.kill()
                await controller.process.wait()
            await are(pods, attached=False)
            # Without it they go on, and spans with them.
            assert await asyncio.to_thread(partial(pods.running[0].post, 5, seed=1)) == 200
            async with operator() as controller:
                await are(pods, attached=True)
                await counted(controller, len(PODS))
                assert document(api).control == authority, "nothing changed for the sidecars"
                assert await asyncio.to_thread(stopped, pods) == [0] * len(PODS)
                await counted(controller, 0)


def stopped(pods: Pods) -> list[int]:
    return [pod.stop() for pod in pods.running]
