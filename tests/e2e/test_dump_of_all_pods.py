"""What a person asks of all pods at once: the command line, the control server, whole sidecars, and a backend."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from control_objects import config
from people_world import World, world
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, otlp
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry
from traces_to_sample import request_of, trace
from waiting import until

Start = Callable[..., Backend]
SAMPLING = {
    "decisionWait": "1s",
    "rules": [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}],
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}
BILLING = 'span.attributes["gen_ai.agent.name"] == "billing"'


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        (tmp_path / "ca.crt").write_text(made.authority)
        yield made


class Pod:
    """A sidecar with a pod's token, which finds the operator by its policy."""

    def __init__(self, there: World, name: str, spec: dict[str, Any]) -> None:
        self.name, folder = name, there.directory / name
        folder.mkdir()
        entry = PolicyEntry("agents", "shop", "uid-agents", 1, "2026-01-01T00:00:00Z", spec)
        control = Control(f"localhost:{there.address.rpartition(':')[2]}", there.authority)
        (folder / "policy.json").write_text(PolicyDocument(1, (entry,), control=control).to_json())
        (folder / "token").write_text(f"shop/{name}")
        self._sidecars = Sidecars(folder)
        self.arguments = (f"--policy={folder}/policy.json", f"--control-token={folder}/token")
        self.sidecar: RunningSidecar = self._sidecars.start(*self.arguments)

    def send(self, traces: Sequence[Sequence[Span]]) -> None:
        for spans in traces:
            assert self.sidecar.send(request_of(spans)) == 200
        self.sidecar.settled()

    def redelivered(self) -> dict[str, str]:
        self.sidecar.ledger()  # It closes.
        found: dict[str, str] = json.loads(self.sidecar.get("/ledger")[1])["delivery"][0].get("redelivered", {})
        return found

    def end(self) -> None:
        self._sidecars.end()


def made(seed: int, count: int, agent: str) -> list[list[Span]]:
    chance = random.Random(seed)
    traces = [trace(chance) for _ in range(count)]
    for spans in traces:
        for span in spans:
            span.attributes.add(key="gen_ai.agent.name").value.string_value = agent
    return traces


def ids(*groups: Sequence[Sequence[Span]]) -> set[str]:
    return {span.span_id.hex() for traces in groups for spans in traces for span in spans}


async def dump(there: World, *more: str) -> asyncio.subprocess.Process:
    where = [f"--server={there.address}", f"--ca={there.directory}/ca.crt"]
    command = [sys.executable, "-m", "tracekeeper_cli", "dump", "agents", "--to=a", *where, *more]
    environment = {"PATH": "", "KUBECONFIG": there.kubeconfig()}
    started = partial(asyncio.create_subprocess_exec, stdout=PIPE, stderr=PIPE)
    return await started(*command, env=environment)


async def test_all_pods_send_what_was_left_out_and_one_call_ends_it_everywhere(
    there: World, start_backend: Start
) -> None:
    a = await asyncio.to_thread(start_backend, "--name", "a")
    spec = {"backends": [otlp("a", "GRPC", a.grpc)], "sampling": SAMPLING}
    there.put({**config(), "spec": spec})
    pods = await asyncio.gather(*(asyncio.to_thread(Pod, there, name, spec) for name in ("app-1", "app-2")))
    try:
        await until(lambda: sorted(there.attached()) == ["app-1", "app-2"], "both are attached")
        billing = [made(1, 5, "billing"), made(2, 7, "billing")]
        for pod, traces in zip(pods, billing, strict=True):
            await asyncio.to_thread(pod.send, [*traces, *made(3, 4, "search")])
        await until(lambda: all(left_out(pod) for pod in pods), "everything is decided on")
        assert not a.ids()
        done = await dump(there, f"--where={BILLING}")
        out, err = await asyncio.wait_for(done.communicate(), 50)
        assert done.returncode == 0, (out, err)
        assert b"48 spans were sent to 'a' by 2 sidecars, of 80 that were looked at" in out
        assert a.ids() == ids(*billing)
        assert [pod.redelivered() for pod in pods] == [{"dump": "20"}, {"dump": "28"}]

        a.fail("unavailable")
        stopped = await dump(there)
        for pod in pods:
            await until(partial(dumping, pod), f"{pod.name} tries")
        there_already = await dump(there)
        _, err = await asyncio.wait_for(there_already.communicate(), 50)
        assert b"a dump of shop/agents is under way, asked for by alice" in err
        stopped.send_signal(2)
        out, err = await asyncio.wait_for(stopped.communicate(), 50)
        assert stopped.returncode == 1
        assert b"it ended early: it was stopped" in out, err
        for pod in pods:
            await until(lambda: not dumping(pod), f"{pod.name} has ended it")  # noqa: B023 - used at once
            assert json.loads(pod.sidecar.get("/dump")[1])["problem"] == "it was stopped"
    finally:
        for pod in pods:
            pod.end()


def left_out(pod: Pod) -> bool:
    book = pod.sidecar.ledger()["delivery"]["a"]
    return bool(book["sampled_out"]) and not book["pending"]


def dumping(pod: Pod) -> bool:
    return bool(json.loads(pod.sidecar.get("/dump")[1])["running"])
