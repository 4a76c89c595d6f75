"""Runs `tracekeeper-operator` as its own process against an API server for tests."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import signal
import socket
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from control_api import Api, serve
from tracekeeper_spec.policy import Control, PolicyDocument
from waiting import attempted


class Program:
    """One running process, its log lines, and where its health is."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self.health = process, f"http://127.0.0.1:{port}"
        self.lines: list[dict[str, Any]] = []
        self._reading = asyncio.create_task(self._read())

    async def _read(self) -> None:
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.lines.append(json.loads(line))

    async def get(self, path: str) -> tuple[int, str]:
        try:
            async with aiohttp.request("GET", self.health + path) as answer:
                return answer.status, await answer.text()
        except aiohttp.ClientError as error:
            return 0, str(error)

    async def ready(self) -> None:
        async def is_ready() -> bool:
            return (await self.get("/readyz"))[0] == 200

        await attempted(is_ready, lambda: f"the program is ready: {self.lines}")

    async def stop(self) -> int:
        """The exit status after SIGTERM, which has to come soon."""
        if self.process.returncode is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(6):
                status = await self.process.wait()
        except TimeoutError:
            self.process.kill()
            await self.process.wait()
            raise
        await self._reading
        return status

    def faults(self) -> list[dict[str, Any]]:
        return [line for line in self.lines if line["level"] == "Error" or "fault" in line]


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


@asynccontextmanager
async def installed() -> AsyncIterator[Api]:
    """An API server of a cluster in which the chart is installed."""
    async with serve() as api:
        for plural, name in (("mutating", "tracekeeper-injector"), ("validating", "tracekeeper-validator")):
            hooks = [{"name": "x.tracekeeper.dev", "clientConfig": {}}]
            api.put(f"{plural}webhookconfigurations", {"metadata": {"name": name}, "webhooks": hooks})
        api.put("leases", {"metadata": {"namespace": "tk", "name": "tracekeeper-controller"}})
        yield api


@asynccontextmanager
async def started(
    api: Api, folder: Path, command: str, *arguments: str, environment: Mapping[str, str] = os.environ
) -> AsyncIterator[Program]:
    """One of the two commands, stopped at the end; `folder` is for its way to the API server."""
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "current-context": "c",
                "contexts": [{"name": "c", "context": {"cluster": "k", "user": "u"}}],
                "clusters": [{"name": "k", "cluster": {"server": api.url}}],
                "users": [{"name": "u", "user": {"token": "t0ken"}}],
            }
        )
    )
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tracekeeper_operator", command, "--namespace=tk"),
        *(f"--metrics-listen=127.0.0.1:{port}", *arguments),
        env={**environment, "KUBECONFIG": str(kubeconfig)},
        stderr=PIPE,
    )
    program = Program(process, port)
    try:
        yield program
    finally:
        await program.stop()


def policy(api: Api) -> Any:
    """The policy Secret of the namespace `shop`, None while there is none."""
    return api.objects.get(("secrets", "shop", "tracekeeper-policy"))


def document(api: Api) -> PolicyDocument:
    """What is in it."""
    return PolicyDocument.from_json(base64.b64decode(policy(api)["data"]["policy.json"]))


def control_of(api: Api) -> Control | None:
    """What it says of the control stream."""
    return document(api).control if policy(api) else None


def policy_of(api: Api, folder: Path, port: int) -> None:
    """Put what is published where the kubelet would, whole; the control stream is at `port` of this machine, because
    there is no DNS for a Service's name here."""
    control = control_of(api)
    assert control is not None
    here = replace(document(api), control=replace(control, endpoint=f"localhost:{port}"))
    new = folder / "policy.new"
    new.write_text(here.to_json())
    new.replace(folder / "policy.json")
