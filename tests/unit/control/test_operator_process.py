"""Both processes as they run in a pod: started, driven by an API server over HTTP, stopped by SIGTERM."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import ssl
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest

from control_api import Api
from control_objects import config, pod, review
from operator_process import control_of, document, free_port, installed, policy, started
from service_tokens import Signer, publish
from tracekeeper_operator import __version__
from tracekeeper_operator.certs import Material
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import attempted, until

ROOT = Path(__file__).parents[3]


Start = Callable[..., Any]


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with installed() as api:
        yield api


@pytest.fixture
def start(api: Api, tmp_path: Path) -> Start:
    return partial(started, api, tmp_path)


async def test_the_controller_serves_and_stops(api: Api, start: Start) -> None:
    api.put("tracingconfigs", config())
    async with start("controller", "--service=localhost") as controller:
        await controller.ready()
        first = await until(lambda: policy(api))
        await until(lambda: api.watched("tracingconfigs"))
        api.put("tracingconfigs", config(suspend=True))
        await until(lambda: policy(api)["data"] != first["data"])
        await until(lambda: api.get("tracingconfigs", "shop", "agents")["status"]["observedGeneration"] == 2)
        api.remove("tracingconfigs", "shop", "agents")
        await until(lambda: document(api).configs[0].retired)
        _, metrics = await controller.get("/metrics")
        assert "tracekeeper_controller_policy_writes_total 3.0" in metrics
        assert await controller.get("/healthz") == (200, "ok\n")
        assert await controller.stop() == 0
    assert controller.faults() == []
    assert controller.lines[-1]["message"] == "stopped"


async def test_kopf_writes_nothing_of_its_own(api: Api, start: Start) -> None:
    api.put("tracingconfigs", config())
    async with start("controller") as controller:
        await until(lambda: "status" in api.get("tracingconfigs", "shop", "agents"))
        await until(lambda: api.watched("tracingconfigs"))
        assert await controller.stop() == 0
    meta = api.get("tracingconfigs", "shop", "agents")["metadata"]
    assert "finalizers" not in meta and "annotations" not in meta
    written = {item.path.rsplit("/", 1)[-1] for item in api.seen if item.method not in ("GET",)}
    assert written == {"status", "tracekeeper-policy", "tracekeeper-webhook-tls", LEASE, *WEBHOOKS}
    read = {item.path for item in api.seen if item.method == "GET" and item.path.startswith(("/api/v1/", "/apis/"))}
    assert not [path for path in read if re.search(r"/(secrets|customresourcedefinitions)$", path)]


LEASE = "tracekeeper-controller"
WEBHOOKS = ("tracekeeper-injector", "tracekeeper-validator")


async def test_the_controller_waits_for_the_crd(api: Api, start: Start) -> None:
    for _ in range(3):
        api.fail("GET", "/tracingconfigs", 404, '{"message": "the server could not find the requested resource"}')
    async with start("controller") as controller:
        await until(lambda: any("is not installed" in line["message"] for line in controller.lines))
        await controller.ready()
        assert await controller.stop() == 0


async def test_the_injector_is_ready_with_certificate_and_list(api: Api, start: Start) -> None:
    port = free_port()
    image = "--sidecar-image=registry.example/sidecar:1"
    async with start("injector", image, f"--listen=127.0.0.1:{port}") as injector:
        await until(lambda: any("has not written" in str(line) or "not found" in str(line) for line in injector.lines))
        status, text = await injector.get("/readyz")
        assert status == 503 and "certificate: none yet" in text
        assert (await injector.get("/healthz"))[0] == 200
        async with start("controller", "--service=localhost") as controller:
            await controller.ready()
            await injector.ready()
            data = api.get("secrets", "tk", "tracekeeper-webhook-tls")["data"]
            await assert_injects(port, data)
            assert await controller.stop() == 0
        assert await injector.stop() == 0
    assert injector.faults() == []


async def test_the_injector_is_not_ready_before_it_knows_what_namespaces_ask_for(api: Api, start: Start) -> None:
    """It would break a LimitRange that it has not heard of, and the API server would refuse the pod."""
    kinds = {"namespaces", "limitranges", "resourcequotas"}
    for kind in sorted(kinds) * 60:
        api.fail("GET", f"/{kind}", 500)
    async with start("injector", "--sidecar-image=registry.example/sidecar:1") as injector:

        async def missing() -> set[str]:
            status, text = await injector.get("/readyz")
            assert status in (0, 503)
            return {line.split(":")[0] for line in text.splitlines()} if status else set()

        async def all_lack() -> bool:
            return kinds <= await missing()

        async def none_lacks() -> bool:
            found = await missing()
            return "certificate" in found and not kinds & found

        await attempted(all_lack, "they are told of as missing")
        api.failures.clear()
        await attempted(none_lacks, "they have been listed")
        assert await injector.stop() == 0


async def test_a_controller_that_knows_no_namespaces_yet_publishes_nothing_and_takes_no_sidecar_in(
    api: Api, start: Start
) -> None:
    """It could not judge what is lent by labels: neither for a policy, nor for who attaches."""
    for _ in range(60):
        api.fail("GET", "/api/v1/namespaces", 500)
    api.put("tracingconfigs", config())
    listen = f"--control-listen=127.0.0.1:{free_port()}"
    async with start("controller", "--service=localhost", "--control-service=tk-control", listen) as controller:

        async def only_these_lack() -> bool:
            status, text = await controller.get("/readyz")
            return status == 503 and {line.split(":")[0] for line in text.splitlines()} == {"namespaces", "control"}

        await until(lambda: len(api.requests("GET", "/api/v1/namespaces")) >= 4)
        await attempted(only_these_lack, "everything else is there")
        assert ("secrets", "shop", "tracekeeper-policy") not in api.objects
        api.failures.clear()
        await controller.ready()
        await until(lambda: policy(api))
        assert await controller.stop() == 0


async def assert_injects(port: int, data: dict[str, str]) -> None:
    material = Material.from_secret(data, "the Secret")
    assert material is not None
    trust = ssl.create_default_context(cadata=material.ca)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        url = f"https://localhost:{port}/mutate"
        async with session.post(url, json=review(pod(inject="true"))) as answer:
            document = await answer.json()
    assert document["response"]["allowed"] is True
    assert document["response"]["patchType"] == "JSONPatch"


ADAPTIVE = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 100}}}


async def test_the_controller_serves_the_control_stream(api: Api, start: Start) -> None:
    """A sidecar finds it by its policy alone, and is taken in by the token of its pod, and by nothing else."""
    signer, port = Signer(), free_port()
    publish(api, signer)
    api.put("tracingconfigs", config(sampling=ADAPTIVE))
    async with start(
        "controller", "--service=localhost", "--control-service=tk-control", f"--control-listen=127.0.0.1:{port}"
    ) as controller:
        await controller.ready()
        control = await until(lambda: control_of(api))
        assert control.endpoint == "tk-control.tk.svc:9444"
        shown = await until(lambda: api.objects.get(("configmaps", "tk", "tracekeeper-ca")))
        assert (shown["data"]["ca.crt"], shown["data"]["endpoint"]) == (control.ca, control.endpoint)
        for name in ("tk-control.tk.svc", "localhost"):
            options = (("grpc.ssl_target_name_override", name),)
            trust = grpc.ssl_channel_credentials(control.ca.encode())
            async with grpc.aio.secure_channel(f"127.0.0.1:{port}", trust, options) as channel:
                answer = await attach(channel, signer.token(time.time()), "uid-agents")
                assert isinstance(answer, pb.ToSidecar) and answer.welcome.report_every_seconds > 0
                stranger = Signer("stranger", elliptic=True).token(time.time())
                assert await attach(channel, stranger, None) is grpc.StatusCode.UNAUTHENTICATED
                elsewhere = signer.token(time.time(), namespace="elsewhere")
                assert await attach(channel, elsewhere, "uid-agents") is grpc.StatusCode.PERMISSION_DENIED
                asked = pb.DumpRequest(namespace="shop", config="agents", since_seconds=60, backend="a")
                dump = channel.unary_stream(
                    "/tracekeeper.control.v1.People/Dump",
                    request_serializer=pb.DumpRequest.SerializeToString,
                    response_deserializer=pb.DumpProgress.FromString,
                )
                with pytest.raises(grpc.aio.AioRpcError) as refused:
                    await dump(asked, metadata=(("authorization", "Bearer a-persons-token"),)).read()
                assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED

        async def all_left() -> bool:
            return "tracekeeper_control_sidecars 0.0" in (await controller.get("/metrics"))[1]

        await attempted(all_left, "nobody is left")
        assert await controller.stop() == 0
    assert controller.faults() == []


async def test_the_control_streams_port_may_be_taken(api: Api, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with start(
            "controller", "--service=localhost", "--control-service=c", f"--control-listen={address}"
        ) as controller:
            async with asyncio.timeout(30):
                assert await controller.process.wait() == 1
    assert f"cannot listen on {address}" in controller.lines[-1]["message"]


async def attach(channel: grpc.aio.Channel, token: str, uid: str | None) -> pb.ToSidecar | grpc.StatusCode:
    """What a sidecar with this token first hears, or how it is sent away. Without `uid` it says nothing: gRPC's client
    takes a call that ends while it writes for an internal error of its own.
    """
    method = channel.stream_stream(
        "/tracekeeper.control.v1.Control/Attach",
        request_serializer=pb.FromSidecar.SerializeToString,
        response_deserializer=pb.ToSidecar.FromString,
    )
    call = method(metadata=(("authorization", f"Bearer {token}"),))
    try:
        async with asyncio.timeout(30):
            if uid is not None:
                await call.write(pb.FromSidecar(hello=pb.Hello(version="1", config_uid=uid, policy_revision=1)))
            answer = await call.read()
            assert isinstance(answer, pb.ToSidecar)
            await call.done_writing()
            return answer
    except (grpc.aio.AioRpcError, asyncio.InvalidStateError):
        return await call.code()


async def test_a_port_that_is_taken_is_named(api: Api, start: Start) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        async with start("controller", f"--metrics-listen={address}") as controller:
            async with asyncio.timeout(30):
                assert await controller.process.wait() == 1
    assert f"cannot listen on {address}" in controller.lines[-1]["message"]


@pytest.mark.parametrize("command", ["controller", "injector"])
def test_a_wrong_start_exits_2_with_one_line(command: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tracekeeper_operator", command],
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr == "tracekeeper-operator: --namespace: is required (or set TRACEKEEPER_NAMESPACE)\n"


def test_the_version_is_the_projects() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == __version__


def test_the_injector_loads_neither_kopf_nor_grpc() -> None:
    code = "import sys, tracekeeper_operator.injector; print('kopf' in sys.modules, 'grpc' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.strip() == "False False"


async def test_of_two_controllers_one_leads_and_the_other_one_takes_over(api: Api, start: Start) -> None:
    """Both are ready. One is killed, without a word; the one after it is told to stop, and says so."""
    for name in ("one", "two", "three"):
        labels = {"app": "controller"}
        api.put("pods", {"metadata": {"namespace": "tk", "name": name, "labels": labels}})
    api.put("tracingconfigs", config())
    flags = ("controller", "--service=localhost", "--lease-duration=3s")

    async def leads(name: str) -> None:
        def is_labelled() -> bool:
            found = {key[2]: item["metadata"]["labels"] for key, item in api.objects.items() if key[0] == "pods"}
            return [pod for pod, labels in found.items() if "tracekeeper.dev/leader" in labels] == [name]

        await until(is_labelled)
        assert api.get("leases", "tk", LEASE)["spec"]["holderIdentity"].startswith(f"{name}_")

    async with start(*flags, "--pod=one") as one:
        await one.ready()
        await leads("one")
        async with start(*flags, "--pod=two") as two:
            await two.ready()
            await until(lambda: any("standing by: one_" in line["message"] for line in two.lines))
            assert "tracekeeper_controller_leader 1.0" in (await one.get("/metrics"))[1]
            assert "tracekeeper_controller_leader 0.0" in (await two.get("/metrics"))[1]
            one.process.kill()
            await leads("two")
            api.put("tracingconfigs", config(suspend=True))
            await until(lambda: api.get("tracingconfigs", "shop", "agents")["status"]["observedGeneration"] == 2)
            async with start(*flags, "--pod=three") as three:
                await until(lambda: any("standing by: two_" in line["message"] for line in three.lines))
                assert await two.stop() == 0
                assert any(line["message"] == "gave the lease back" for line in two.lines)
                await leads("three")
                await until(lambda: api.watched("tracingconfigs"))
                assert await three.stop() == 0
            assert three.faults() == two.faults() == []


async def test_a_controller_that_has_lost_the_lease_ends(api: Api, start: Start) -> None:
    async with start("controller", "--service=localhost", "--lease-duration=3s") as controller:
        await controller.ready()
        lease = api.get("leases", "tk", LEASE)
        api.put("leases", {**lease, "spec": {**lease["spec"], "holderIdentity": "somebody-else"}})
        async with asyncio.timeout(30):
            assert await controller.process.wait() == 1
    assert "somebody-else leads now; ending" in controller.lines[-1]["message"]
