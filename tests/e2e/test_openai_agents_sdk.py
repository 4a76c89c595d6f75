"""The real OpenAI Agents SDK, in a process of its own, through a real sidecar into an OTLP backend."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

PROGRAM = Path(__file__).parents[2] / "examples/openai-agents/agent.py"
Start = Callable[..., Backend]


def application(sidecar: RunningSidecar, **environment: str) -> subprocess.Popen[str]:
    """The example, with nothing but its endpoint pointing at the sidecar."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("OPENAI_", "AGENT_"))}
    endpoint = f"http://127.0.0.1:{sidecar.http}/v1/traces/ingest"
    return subprocess.Popen(
        [sys.executable, str(PROGRAM)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**clean, "TRACES_ENDPOINT": endpoint, **environment},
    )


def traces(running: subprocess.Popen[str]) -> list[str]:
    """The trace ids that it says it has sent, when it has ended."""
    printed = running.communicate(timeout=60)[0]
    assert running.returncode == 0, printed
    (summary,) = [line for line in printed.splitlines() if line.startswith("summary ")]
    assert "[non-fatal]" not in printed, printed
    return [name.removeprefix("trace_") for name in json.loads(summary.removeprefix("summary "))["traces"]]


def tree(spans: list[dict[str, Any]], above: str = "") -> dict[str, Any]:
    """Names below each other; what is not reached from `above` is not in it."""
    below = sorted((span for span in spans if span["parent_span_id"] == above), key=lambda span: span["start"])
    return {span["name"]: tree(spans, span["span_id"]) for span in below}


PRICE = {"model": "gpt-4o*", "inputPerMillion": "2.5", "cacheReadPerMillion": "1.25", "outputPerMillion": "10"}
PROCESSORS = [
    {"name": "normalize", "type": "Normalize"},
    {"name": "price", "type": "Price", "price": {"overrides": [PRICE]}},
]
RUN: dict[str, Any] = {
    "run Weather": {
        "invoke_agent triage": {
            "turn 1": {"guardrail polite": {}, "chat gpt-4o": {}, "execute_tool weather": {}},
            "turn 2": {"chat gpt-4o": {}, "handoff triage to writer": {}},
        },
        "invoke_agent writer": {"turn 3": {"chat gpt-4o": {}}},
    }
}


def arrived(backend: Backend, count: int) -> list[dict[str, Any]]:
    until(lambda: backend.json("/stats")["distinct"] >= count, f"{count} spans arrive")
    found: list[dict[str, Any]] = backend.json("/spans?limit=10000")
    return found


def test_a_run_is_one_tree_with_its_tokens_and_cost(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "HTTP", backend.http), processors=PROCESSORS))
    (one, two) = traces(application(sidecar, AGENT_RUNS="2"))
    spans = arrived(backend, 24)
    for number, trace in enumerate((one, two)):
        mine = [span for span in spans if span["trace_id"] == trace]
        assert tree(mine) == RUN
        assert {span["service"] for span in mine} == {"weather-agents"}
        for span in mine:
            said = span["attributes"]
            assert said["gen_ai.workflow.name"] == "Weather"
            assert said["gen_ai.conversation.id"] == f"conversation-{number}"
            assert said["user.id"] == f"user-{number}"
        calls = [span["attributes"] for span in mine if span["name"] == "chat gpt-4o"]
        assert [call["gen_ai.usage.input_tokens"] for call in calls] == [1000] * 3
        assert [call["gen_ai.usage.cache_read.input_tokens"] for call in calls] == [400] * 3
        assert [call["gen_ai.usage.reasoning.output_tokens"] for call in calls] == [10] * 3
        assert [call["gen_ai.usage.cost"] for call in calls] == [pytest.approx(0.0025)] * 3
        (root,) = [span["attributes"] for span in mine if span["name"] == "run Weather"]
        assert root["tracekeeper.trace.cost"] == pytest.approx(0.0075), "600 * 2.5 + 400 * 1.25 + 50 * 10, thrice"
        assert "gen_ai.usage.cost" not in root
        assert (root["gen_ai.usage.input_tokens"], root["tracekeeper.usage.repeated"]) == (3000, True)
    book = sidecar.settled()
    assert (book["received"], book["acknowledged"], book["refused"]) == (24, 24, {})


def test_a_run_below_a_span_of_another_service(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc)))
    trace, span = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
    (own,) = traces(application(sidecar, AGENT_PARENT=f"00-{trace}-{span}-01"))
    found = arrived(backend, 12)
    assert {one["trace_id"] for one in found} == {trace}
    assert tree(found, span) == RUN
    assert {one["attributes"]["openai.agents.trace_id"] for one in found} == {f"trace_{own}"}


def test_responses_have_the_model_that_the_application_adds(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc)))
    traces(application(sidecar, AGENT_API="responses"))
    (call,) = [one for one in arrived(backend, 5) if one["attributes"]["openai.agents.type"] == "response"]
    assert call["name"] == "chat gpt-4o-2024-08-06"
    assert call["attributes"]["gen_ai.response.model"] == "gpt-4o-2024-08-06"
    assert call["attributes"]["gen_ai.usage.output_tokens"] == 50


def test_the_sdk_tries_again_until_the_sidecar_is_back(sidecars: Sidecars, start_backend: Start) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc)))
    sidecar.kill()
    running = application(sidecar)
    assert running.stdout is not None
    assert any("Tracing request failed" in line for line in running.stdout), "it has tried once"
    sidecars.start(f"--http-listen=127.0.0.1:{sidecar.http}")
    running.communicate(timeout=60)
    assert running.returncode == 0
    assert tree(arrived(backend, 12)) == RUN


@pytest.mark.parametrize("secret", ["sk-very-secret-key"])
def test_the_key_is_nowhere(sidecars: Sidecars, start_backend: Start, secret: str) -> None:
    backend = start_backend("--name", "a")
    sidecar = sidecars.start("--log-level=Debug", config=manifest(otlp("a", "GRPC", backend.grpc), logLevel="Debug"))
    traces(application(sidecar, OPENAI_API_KEY=secret, AGENT_KEY=secret))
    sidecar.settled()
    written = b"".join(path.read_bytes() for path in sidecars.folder.rglob("*") if path.is_file())
    pages = "".join(sidecar.get(path)[1] for path in ("/metrics", "/health", "/ledger"))
    assert b"execute_tool weather" in written
    assert secret.encode() not in written
    assert secret not in pages + json.dumps(backend.json("/spans")) + json.dumps(backend.json("/requests"))
