"""Beside a service mesh: places and probes."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import pytest
from aiohttp import web

from control_objects import pod
from tracekeeper_operator import mesh
from tracekeeper_operator.pod import parse


def made(*init: str, containers: tuple[str, ...] = ("app",), annotations: dict[str, str] | None = None) -> Any:
    """A pod of these containers; a name that ends in `+` is a native sidecar's."""
    found = pod()
    found["metadata"]["annotations"] = annotations or {}
    found["spec"]["containers"] = [{"name": name, "image": "x:1"} for name in containers]
    found["spec"]["initContainers"] = [
        {"name": name.rstrip("+"), "image": "x:1", **({"restartPolicy": "Always"} if name.endswith("+") else {})}
        for name in init
    ]
    return parse(found)


@pytest.mark.parametrize(
    ("init", "place"),
    [
        ([], 0),
        (["mine"], 0),
        (["istio-init"], 1),
        (["istio-init", "mine"], 1),
        (["istio-validation", "istio-proxy+", "mine"], 2),
        (["mine", "linkerd-proxy+", "more"], 2),
        (["linkerd-network-validator", "linkerd-proxy+"], 2),
        (["mine", "linkerd-init"], 0),
        (["other+", "mine"], 0),
        (["kuma-init", "kuma-sidecar+", "other+"], 2),
    ],
)
def test_the_sidecar_stands_behind_the_network_and_ahead_of_the_application(init: list[str], place: int) -> None:
    assert mesh.place(made(*init)) == place


ISTIO, LINKERD = "traffic.sidecar.istio.io/excludeInboundPorts", "config.linkerd.io/skip-inbound-ports"


@pytest.mark.parametrize(
    ("annotations", "intercepted"),
    [
        ({}, True),
        ({ISTIO: "14316"}, False),
        ({ISTIO: "80, 14316"}, False),
        ({ISTIO: "80"}, True),
        ({LINKERD: "14000-15000"}, False),
        ({LINKERD: "14317-15000,x,,-"}, True),
    ],
)
def test_a_port_is_intercepted_unless_it_is_taken_out_of_the_mesh(
    annotations: dict[str, str], intercepted: bool
) -> None:
    assert mesh.intercepts(made("istio-proxy+", annotations=annotations), 14316) is intercepted
    assert mesh.intercepts(made(containers=("app", "linkerd-proxy"), annotations=annotations), 14316) is intercepted
    assert not mesh.intercepts(made("istio-init", annotations=annotations), 14316)


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1), (404, 1)])
async def test_the_probe_inside_ends_as_the_answer_says(status: int, code: int) -> None:
    async def answer(request: web.Request) -> web.Response:
        return web.Response(status=status if request.path == "/livez" else 500)

    app = web.Application()
    app.router.add_get("/{path:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        assert await ended(mesh.probe_command("/livez", port)) == code
    finally:
        await runner.cleanup()
    assert await ended(mesh.probe_command("/livez", port)) == 1


async def ended(command: list[str]) -> int:
    """The exit code, with this Python in place of the image's."""
    process = await asyncio.create_subprocess_exec(sys.executable, *command[1:], stderr=asyncio.subprocess.DEVNULL)
    return await asyncio.wait_for(process.wait(), 30)
