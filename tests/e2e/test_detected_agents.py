"""The demo's agent out of hand, seen by detectors: on its spans, in a counter, and in the alert that names it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agent_traffic import Turn
from incident_world import Incident
from programs import Backend, RunningAgent, ask
from prometheus_process import Prometheuses
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until
from tracekeeper_sidecar.process.detect.words import DETECTORS

pytestmark = pytest.mark.timeout(300)

STEP = {"name": "detect", "type": "Detect"}
CONFIG = "tracekeeper_config"


@pytest.fixture
def incident(sidecars: Sidecars, prometheuses: Prometheuses, start_backend: Callable[..., Backend]) -> Incident:
    return Incident(sidecars, prometheuses, start_backend("--name", "tempo"))


def _misbehaves(start_agent: Callable[..., RunningAgent], sidecar: RunningSidecar) -> int:
    """The port of the demo's agent, which goes wrong from now on."""
    agent = start_agent(
        OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=f"http://127.0.0.1:{sidecar.http}/v1/traces",
        OTEL_EXPORTER_OTLP_TRACES_PROTOCOL="http/protobuf",
        OTEL_SERVICE_NAME="weather-agent",
        OTEL_BSP_SCHEDULE_DELAY="100",
        AGENT_RUNS="1",
        AGENT_LISTEN="127.0.0.1:0",
        AGENT_LINGER="120",
    )
    port = int(agent.until("listening ").split()[1])
    ask(port, "/misbehave", "POST")
    return port


def test_the_demo_s_agent_out_of_hand_is_named_by_its_detector(
    incident: Incident, start_agent: Callable[..., RunningAgent]
) -> None:
    sidecar, prometheus = incident.begin([], processors=[STEP])
    port = _misbehaves(start_agent, sidecar)

    def looping() -> dict[str, Any] | None:
        spans = incident.backend.json("/spans?limit=1000")
        return next((span for span in spans if "Loop" in span["attributes"].get("tracekeeper.detected", [])), None)

    span = until(looping, "a span with a loop arrives", 60.0)
    assert span["name"] == "execute_tool get_weather"
    assert span["attributes"]["gen_ai.agent.name"] == "weather"
    loop = prometheus.alert("AgentLoop")
    assert loop.labels["agent"] == "weather"
    assert loop.labels["service"] == "weather-agent"
    assert loop.labels[CONFIG] == "shop/agents"
    failures = prometheus.alert("ToolFailures")
    assert failures.labels["agent"] == "weather"
    ask(port, "/behave", "POST")
    text = sidecar.get("/metrics")[1]
    assert 'tracekeeper_detect_reports_total{processor="detect",detector="Loop"}' in text
    assert 'tracekeeper_agent_calls_total{processor="detect",caller="weather",callee="get_weather",kind="tool"}' in text
    spans = incident.backend.json("/spans?limit=1000")
    detected = [span for span in spans if span["attributes"].get("tracekeeper.detected")]
    assert {name for span in detected for name in span["attributes"]["tracekeeper.detected"]} <= set(DETECTORS)
    # A trace is told of ever more rarely: it is 161 spans long.
    traces = {span["trace_id"] for span in spans}
    assert len(detected) <= 12 * len(traces)


def test_a_quiet_agent_is_not_named(incident: Incident) -> None:
    sidecar, prometheus = incident.begin([], processors=[STEP])
    for _ in range(20):
        incident.work(Turn("helper", conversation="quiet"), calls=4)
    incident.counted(sidecar)
    prometheus.evaluated()
    assert not {alert.name for alert in prometheus.alerts()} & {"AgentLoop", "ToolFailures", "TokenRunaway"}
    assert "tracekeeper_detections_total{" not in sidecar.get("/metrics")[1]


def test_sampling_keeps_what_was_detected(sidecars: Sidecars, start_backend: Callable[..., Backend]) -> None:
    backend = start_backend("--name", "tempo")
    sampling = {"decisionWait": "2s", "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}}}
    tempo = otlp("tempo", "GRPC", backend.grpc)
    sidecar = sidecars.start(config=manifest(tempo, sampling=sampling, processors=[STEP]))
    loop, quiet = Turn("planner"), Turn("helper")
    assert sidecar.send(quiet.calls(5)) == 200
    assert sidecar.send(loop.tools(["search"] * 45)) == 200
    for turn in (quiet, loop):
        assert sidecar.send(turn.end()) == 200
    until(lambda: len(backend.json("/spans?limit=1000")) >= 47, "the whole trace of the loop arrives", 30.0)
    assert {span["trace_id"] for span in backend.json("/spans?limit=1000")} == {loop.trace.hex()}
    until(lambda: 'rule="detected"' in sidecar.get("/metrics")[1], "the rule is counted", 10.0)
    kept = [line for line in sidecar.get("/metrics")[1].splitlines() if 'rule="detected"' in line and "kept" in line]
    assert len(kept) == 1 and kept[0].endswith(" 1.0")
