"""What bench/control_plane.py asks of the API server and of the injector: namespaces, configs, pods, admission reviews.

Pods name a scheduler that does not exist: they are admitted and stored as any other, and no kubelet ever sees them.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tracekeeper_operator.access import from_kubeconfig

CONFIGS = "/apis/tracekeeper.dev/v1alpha1"
AT_ONCE = 16
"""Requests in flight while things are only being prepared."""
ANSWER_LIMIT = 60.0
Object = dict[str, Any]


class Api:
    """The API server, as its administrator sees it."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session, self._server = session, server

    async def ask(self, method: str, path: str, body: Object | None = None, kind: str = "application/json") -> Object:
        """Raises RuntimeError with what the API server said."""
        data = json.dumps(body).encode() if body is not None else None
        headers = {"Content-Type": kind}
        async with self._session.request(method, self._server + path, data=data, headers=headers) as answer:
            text = await answer.text()
            if answer.status >= 300:
                raise RuntimeError(f"{method} {path}: {answer.status} {text[:300]}")
            return dict(json.loads(text))

    async def text(self, path: str) -> str:
        async with self._session.get(self._server + path) as answer:
            return await answer.text()

    async def dispatched(self, schema: str) -> float:
        """Requests of those whom a FlowSchema names, so far."""
        pattern = rf'^apiserver_flowcontrol_dispatched_requests_total\{{flow_schema="{schema}",.*\}} (\S+)$'
        return sum(float(value) for value in re.findall(pattern, await self.text("/metrics"), re.MULTILINE))


@asynccontextmanager
async def api_server(kubeconfig: Path) -> AsyncIterator[Api]:
    access = from_kubeconfig(kubeconfig)
    connector = aiohttp.TCPConnector(ssl=access.tls() or False, limit=0)
    timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
        yield Api(session, access.server)


async def together(work: Iterable[Awaitable[object]]) -> None:
    """All of it, `AT_ONCE` at a time."""
    gate = asyncio.Semaphore(AT_ONCE)

    async def one(item: Awaitable[object]) -> None:
        async with gate:
            await item

    async with asyncio.TaskGroup() as group:
        for item in work:
            group.create_task(one(item))


async def paced(count: int, rate: float, act: Callable[[int], Awaitable[object]], most: int = 1000) -> list[float]:
    """Begin `act` `rate` times a second, whether or not the earlier ones have ended; seconds that each took.

    With `most` of them under way the next one waits: whoever is asked cannot keep up.
    """
    took: list[float] = [0.0] * count
    gate, begin = asyncio.Semaphore(most), time.monotonic()

    async def one(number: int) -> None:
        start = time.monotonic()
        try:
            await act(number)
        finally:
            gate.release()
        took[number] = time.monotonic() - start

    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
            await gate.acquire()
            group.create_task(one(number))
    return took


def namespace_name(number: int) -> str:
    return f"bench-{number:04d}"


def secret() -> Object:
    return {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "tempo"}, "stringData": {"token": "a-token"}}


def config(endpoint: str = "https://tempo.obs:4317") -> Object:
    """Two backends, one of which wants a credential, and sampling with rules."""
    reference = {"secretKeyRef": {"name": "tempo", "key": "token"}}
    tempo = {"protocol": "GRPC", "endpoint": endpoint, "auth": {"type": "Bearer", "bearer": reference}}
    standby = {"protocol": "HTTP", "endpoint": "https://standby.example.com"}
    rules = [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}]
    return {
        "apiVersion": "tracekeeper.dev/v1alpha1",
        "kind": "TracingConfig",
        "metadata": {"name": "agents"},
        "spec": {
            "backends": [
                {"name": "tempo", "type": "OTLP", "otlp": tempo},
                {"name": "standby", "type": "OTLP", "otlp": standby},
            ],
            "sampling": {
                "rules": rules,
                "default": {"type": "Probabilistic", "probabilistic": {"probability": 0.1}},
            },
        },
    }


def pod(name: str, annotations: Mapping[str, str], kind: str = "agent") -> Object:
    """Two containers with what applications have: environment, probes, resources, a volume."""
    resources = {"requests": {"cpu": "100m", "memory": "128Mi"}, "limits": {"memory": "256Mi"}}
    environment = [{"name": f"SETTING_{number}", "value": "something or other"} for number in range(20)]
    mounts = [{"name": "scratch", "mountPath": "/scratch"}]
    probe = {"httpGet": {"path": "/healthz", "port": 8080}}
    containers = [
        {
            "name": container,
            "image": "registry.example.com/shop/agent:1",
            "env": environment,
            "resources": resources,
            "volumeMounts": mounts,
            "livenessProbe": probe,
        }
        for container in ("agent", "helper")
    ]
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": kind}, "annotations": dict(annotations)},
        "spec": {
            "schedulerName": "nobody",
            "containers": containers,
            "volumes": [{"name": "scratch", "emptyDir": {}}],
        },
    }


def review(number: int, namespace: str, annotations: Mapping[str, str]) -> bytes:
    """What the API server sends an injector about such a pod."""
    request = {
        "uid": f"00000000-0000-4000-8000-{number:012d}",
        "kind": {"group": "", "version": "v1", "kind": "Pod"},
        "resource": {"group": "", "version": "v1", "resource": "pods"},
        "operation": "CREATE",
        "namespace": namespace,
        "dryRun": True,
        "object": pod(f"asked-{number}", annotations),
    }
    return json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": request}).encode()


async def admissions(url: str, annotations: Mapping[str, str], count: int, rate: float, namespaces: int) -> list[float]:
    """Ask an injector itself, in place of the API server, over TLS; seconds until each whole answer.

    Raises RuntimeError when a pod is not injected.
    """
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE  # Whose certificate it is, is not measured.
    bodies = [review(number, namespace_name(number % namespaces), annotations) for number in range(count)]
    timeout = aiohttp.ClientTimeout(total=ANSWER_LIMIT)
    connector = aiohttp.TCPConnector(ssl=trusting, limit=0)
    async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:

        async def ask(number: int) -> None:
            headers = {"Content-Type": "application/json"}
            async with session.post(url, data=bodies[number], headers=headers) as answer:
                told = json.loads(await answer.read())  # of whatever type it says that it is
                if answer.status != 200 or "patch" not in told["response"]:
                    raise RuntimeError(f"the injector answered {answer.status} {told}")

        return await paced(count, rate, ask)


async def counted(url: str, name: str, labels: str = "") -> float:
    """The sum of a counter over all label sets that contain `labels`, as a process tells its metrics."""
    async with aiohttp.request("GET", url) as answer:
        text = await answer.text()
    found = re.findall(rf"^{re.escape(name)}(\{{.*\}})? (\S+)$", text, re.MULTILINE)
    return sum(float(value) for having, value in found if labels in having)
