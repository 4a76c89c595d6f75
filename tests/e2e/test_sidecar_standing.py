"""A whole sidecar tells the operator how it fares, from its first span to its end, though nothing is sampled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest

from control_objects import backend, config
from forward_support.certificates import Authority
from link_world import Operator
from sidecar_process import Sidecars
from tracekeeper_operator.plan import Published, assess, plan
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.policy import Control
from waiting import until


@pytest.fixture
async def operator() -> AsyncIterator[tuple[Operator, Authority]]:
    authority = Authority()
    found = Operator(authority.issue())
    found.standings = 30.0
    await found.start()
    yield found, authority
    await found.stop()


async def test_it_tells_what_it_runs_and_how_it_fares(tmp_path: Path, operator: tuple[Operator, Authority]) -> None:
    server, authority = operator
    away = backend("a")
    away["otlp"]["endpoint"] = "http://127.0.0.1:1"
    away["circuitBreaker"] = {"failureThreshold": 1}
    manifests = [config(backends=[away])]
    control = Control(f"localhost:{server.port}", authority.pem.decode())
    document = plan("shop", assess(manifests, None), {}, Published(None), floor=6, now=0.0, control=control).document
    (tmp_path / "policy.json").write_text(document.to_json())
    (tmp_path / "token").write_text("header.claims.signature")
    pods = Sidecars(tmp_path)
    try:
        pod = await asyncio.to_thread(
            partial(pods.start, f"--policy={tmp_path}/policy.json", f"--control-token={tmp_path}/token")
        )

        def told() -> list[pb.Standing]:
            return [message.standing for call in server.calls for message in call.of("standing")]

        await until(told, "it has told")
        first = told()[0]
        assert (first.policy_revision, first.policy_digest) == (document.revision, document.digest)
        assert (first.received, first.policy_problem, first.log_problem) == (0, "", "")
        assert [each.name for each in first.delivery] == [each.name for each in first.backends] == ["a"]
        assert first.backends[0].circuit == "Closed" and not first.backends[0].fault

        assert await asyncio.to_thread(partial(pod.post, 5, seed=1)) == 200
        await until(lambda: told()[-1].delivery[0].stuck, lambda: f"spans wait, and it has told: {told()[-1]}")
        last = told()[-1]
        assert last.received == last.acknowledged == last.delivery[0].pending == 5
        assert last.backends[0].circuit in ("Open", "HalfOpen")
        assert "127.0.0.1:1" in last.backends[0].fault

        assert await asyncio.to_thread(partial(pod.post, 3, seed=2)) == 200
        await asyncio.to_thread(pod.stop)
        assert (told()[-1].received, told()[-1].delivery[0].pending) == (8, 8), "its last word"
    finally:
        await asyncio.to_thread(pods.end)
