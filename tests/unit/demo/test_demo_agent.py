"""The demo's agent as a process: what it says, sends and writes down, and that nothing holds it up."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from programs import Backend, RunningAgent

PROTOCOLS = ["grpc", "http/protobuf"]
Start = Callable[..., RunningAgent]
To = Callable[[Backend, str], dict[str, str]]
Ask = Callable[..., bytes]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_every_span_arrives_and_is_acknowledged(
    backend: Backend, start_agent: Start, to: To, tmp_path: Path, protocol: str
) -> None:
    file = tmp_path / "acknowledged"
    agent = start_agent(**to(backend, protocol), AGENT_ACKNOWLEDGED_FILE=str(file))
    summary = agent.summary()
    assert (summary["runs"], summary["created"], summary["acknowledged"], summary["failed"]) == (5, 20, 20, 0)
    assert summary["protocol"] == protocol
    assert len(backend.ids()) == 20
    assert set(file.read_text().split()) == backend.ids()
    assert agent.process.wait(10) == 0


def test_traces_are_trees_of_agent_chat_and_tool(backend: Backend, start_agent: Start, to: To) -> None:
    start_agent(**to(backend, "grpc"), AGENT_RUNS="1").summary()
    spans = backend.json("/spans")
    (root,) = [s for s in spans if not s["parent_span_id"]]
    children = [s for s in spans if s["parent_span_id"]]
    assert root["name"] == "invoke_agent weather"
    assert [s["name"] for s in children] == ["chat gpt-4o", "execute_tool get_weather", "chat gpt-4o"]
    assert {s["parent_span_id"] for s in children} == {root["span_id"]}
    assert {s["trace_id"] for s in spans} == {root["trace_id"]}
    assert {s["service"] for s in spans} == {"weather"}
    assert children[0]["attributes"]["gen_ai.usage.input_tokens"] > 0


def test_the_default_protocol_is_http_as_in_the_specification(backend: Backend, start_agent: Start) -> None:
    endpoint = backend.endpoint("http/protobuf")
    summary = start_agent(OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=endpoint).summary()
    assert (summary["protocol"], summary["acknowledged"]) == ("http/protobuf", 20)
    assert {r["transport"] for r in backend.json("/requests")} == {"http"}


def test_the_first_line_is_the_start_and_comes_before_slow_imports(start_agent: Start) -> None:
    before = time.time()
    agent = start_agent(AGENT_RUNS="1", OTEL_EXPORTER_OTLP_ENDPOINT="http://127.0.0.1:1")
    line = agent.until("started ")
    assert agent.lines == [line]
    started = float(line.split()[1])
    assert before <= started <= time.time()
    ready = float(agent.until("ready after ").split()[2])
    assert ready > 0


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_refused_spans_are_counted_and_never_called_acknowledged(
    backend: Backend, start_agent: Start, to: To, protocol: str
) -> None:
    backend.fail("refuse")
    summary = start_agent(**to(backend, protocol)).summary()
    assert (summary["created"], summary["acknowledged"], summary["failed"]) == (20, 0, 20)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_it_goes_on_unhurt_while_tracing_hangs(backend: Backend, start_agent: Start, to: To, protocol: str) -> None:
    backend.fail("hang")
    environment = {"OTEL_EXPORTER_OTLP_TIMEOUT": "1", "OTEL_BSP_SCHEDULE_DELAY": "100", "AGENT_RUNS": "40"}
    summary = start_agent(**to(backend, protocol), **environment).summary()
    assert (summary["runs"], summary["created"], summary["acknowledged"]) == (40, 160, 0)
    assert summary["behind_schedule_seconds"] < 0.5  # a hanging export takes a whole second


def test_its_endpoints_tell_the_same(backend: Backend, start_agent: Start, to: To, ask: Ask) -> None:
    agent = start_agent(**to(backend, "grpc"), AGENT_LISTEN="127.0.0.1:0", AGENT_LINGER="30")
    port = int(agent.until("listening ").split()[1])
    summary = agent.summary()
    assert json.loads(ask(port, "/stats")) == summary
    assert set(ask(port, "/acknowledged").decode().split()) == backend.ids()
    assert set(ask(port, "/created").decode().split()) == backend.ids()


def test_sigterm_sends_what_is_left_and_ends_well(backend: Backend, start_agent: Start, to: To) -> None:
    agent = start_agent(**to(backend, "grpc"), AGENT_RUNS="0", OTEL_BSP_SCHEDULE_DELAY="30000")
    agent.until("run 3")
    agent.process.send_signal(signal.SIGTERM)
    summary = agent.summary()
    assert summary["created"] >= 16
    assert summary["acknowledged"] == summary["created"] == len(backend.ids())
    assert agent.process.wait(10) == 0


def test_an_unknown_protocol_is_named(start_agent: Start) -> None:
    agent = start_agent(OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/xml")
    assert "http/xml" in agent.until("agent: ")
    assert agent.process.wait(10) == 1
