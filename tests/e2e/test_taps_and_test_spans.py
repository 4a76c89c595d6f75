"""What a person sees of what comes, and of a span sent through: the command line, the control server, a whole sidecar,
and a backend."""

from __future__ import annotations

import asyncio
import json
import random
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from control_objects import config
from people_world import World, world
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, otlp
from tracekeeper_spec.policy import Control, PolicyDocument, PolicyEntry
from traces_to_sample import request_of, trace
from waiting import until

Start = Callable[..., Backend]
MATCH = 'resource.attributes["service.name"] == "shop"'
SAMPLING = {
    "decisionWait": "1s",
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}
LONG = "please repeat this " * 50


@pytest.fixture
async def there(tmp_path: Path) -> AsyncIterator[World]:
    async with world(tmp_path) as made:
        (tmp_path / "ca.crt").write_text(made.authority)
        yield made


@pytest.fixture
def sidecars(tmp_path: Path) -> Iterator[Sidecars]:
    made = Sidecars(tmp_path)
    yield made
    made.end()


async def started(there: World, sidecars: Sidecars, name: str, spec: dict[str, Any]) -> RunningSidecar:
    """A sidecar with a pod's token, which finds the operator by its policy, when the operator knows it."""
    folder = there.directory
    entry = PolicyEntry("agents", "shop", "uid-agents", 1, "2026-01-01T00:00:00Z", spec)
    control = Control(f"localhost:{there.address.rpartition(':')[2]}", there.authority)
    (folder / "policy.json").write_text(PolicyDocument(1, (entry,), control=control).to_json())
    (folder / "token").write_text(f"shop/{name}")
    arguments = (f"--policy={folder}/policy.json", f"--control-token={folder}/token")
    sidecar = await asyncio.to_thread(sidecars.start, *arguments)
    await until(lambda: there.attached() == [name], "it is attached")
    return sidecar


async def begin(there: World, *command: str) -> asyncio.subprocess.Process:
    where = [f"--server={there.address}", f"--ca={there.directory}/ca.crt"]
    environment = {"PATH": "", "KUBECONFIG": there.kubeconfig()}
    run = partial(asyncio.create_subprocess_exec, stdout=PIPE, stderr=PIPE)
    return await run(sys.executable, "-m", "tracekeeper_cli", *command, *where, env=environment)


async def ended(process: asyncio.subprocess.Process) -> tuple[int | None, str, str]:
    out, err = await asyncio.wait_for(process.communicate(), 50)
    return process.returncode, out.decode(), err.decode()


async def test_spans_are_shown_as_they_come_and_a_test_span_says_where_it_came(
    there: World, sidecars: Sidecars, start_backend: Start
) -> None:
    a, b = [await asyncio.to_thread(start_backend, "--name", name) for name in "ab"]
    spec = {
        "backends": [otlp("a", "GRPC", a.grpc), otlp("b", "GRPC", b.grpc)],
        "delivery": [
            {"name": "sampled", "backends": ["a"]},
            {"name": "audit", "backends": ["b"], "spans": "All", "match": MATCH},
        ],
        "sampling": SAMPLING,
    }
    there.put({**config(), "spec": spec})
    sidecar = await started(there, sidecars, "app-1", spec)

    tap = await begin(there, "tap", "agents", "--spans=3", '--where=span.name == "root"', "-o", "json")
    assert tap.stderr is not None
    assert b"waiting for spans of 1 sidecars" in await asyncio.wait_for(tap.stderr.readline(), 50)
    chance = random.Random(1)
    traces = [trace(chance) for _ in range(5)]
    for spans in traces:
        spans[-1].attributes.add(key="gen_ai.prompt").value.string_value = LONG
        assert await asyncio.to_thread(sidecar.send, request_of(spans)) == 200
    status, out, err = await ended(tap)
    assert status == 0, err
    shown = [json.loads(line) for line in out.splitlines()]
    seen = [span for line in shown for each in line["resourceSpans"] for span in each["scopeSpans"][0]["spans"]]
    assert [span["traceId"] for span in seen] == [spans[0].trace_id.hex() for spans in traces[:3]]
    assert {line["pod"] for line in shown} == {"app-1"}
    assert seen[0]["attributes"][0]["value"]["stringValue"] == LONG
    assert "3 spans shown, as 1 sidecar stored them" in err and "do not match --where" in err

    sent = await begin(there, "send-test-span", "agents", "--pod=app-1")
    status, out, err = await ended(sent)
    assert status == 0, (out, err)
    rows = {line.split()[0]: line.split()[1:3] for line in out.splitlines()[1:3]}
    assert rows == {"sampled": ["Delivered", "a"], "audit": ["NotMatched", "-"]}
    assert "sampling was told to keep this trace" in err
    (name,) = [line.split()[1] for line in err.splitlines() if line.startswith("trace ")]
    assert f"it has arrived: look for trace {name}" in out
    assert len(a.ids()) == 1, "and nothing else is kept"
    book = await asyncio.to_thread(sidecar.ledger)
    assert book["received"] == 21


async def test_what_is_in_the_way_is_said(there: World, sidecars: Sidecars, start_backend: Start) -> None:
    a = await asyncio.to_thread(start_backend, "--name", "a")
    spec = {"backends": [otlp("a", "GRPC", a.grpc)]}
    there.put({**config(), "spec": spec})
    await started(there, sidecars, "app-1", spec)
    a.fail("unavailable")
    for seconds in (2, 8, 25):  # A busy machine needs longer to open the circuit.
        status, out, err = await ended(await begin(there, "send-test-span", "agents", f"--timeout={seconds}s"))
        assert status == 1
        if "circuit" in out:
            break
    assert "acknowledged after" in err and "delivery a: Waiting" in err
    assert "time was up; what waits goes on waiting" in out
    assert "a: backend a: circuit " in out and "it is delivered when that can be" in out
    # No application has sent anything, which the operator is to see all the same.
    (attached,) = there.server.attached("uid-agents")
    await until(lambda: attached.standing is not None and attached.standing.received > 0, "it has told of itself")
    assert attached.silent
    status, out, err = await ended(await begin(there, "tap", "agents", "--for=1s"))
    assert (status, out) == (0, "")
    assert "no span came in that time: `kubectl tracekeeper send-test-span`" in err
