"""Every way a TracingConfig can be wrong: the fault names the field and says what to do."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from spec_cases import BACKEND, FULL, SCHEDULED, changed, manifest
from spec_faults import FAULTY, Faulty
from tracekeeper_spec.config import (
    Auth,
    AuthType,
    BreakerState,
    Buffer,
    CircuitBreaker,
    Compression,
    ConfigSpec,
    DeliveryEntry,
    Ephemeral,
    From,
    Guarantee,
    ParentFrom,
    Protocol,
    Retry,
    ShardBy,
    Spans,
    StorageType,
    WhenFull,
    ZipkinReceiver,
)
from tracekeeper_spec.faults import MAX_FAULTS, Fault
from tracekeeper_spec.parse import parse_manifest, parse_spec
from tracekeeper_spec.sampling import (
    Adaptive,
    Day,
    DefaultType,
    Per,
    Probabilistic,
    Sampling,
    SamplingDefault,
    SamplingRule,
    ScheduleEntry,
)
from tracekeeper_spec.secret_ref import SecretKeyRef


@pytest.mark.parametrize("case", FAULTY, ids=str)
def test_a_single_mistake_gives_a_single_fault_at_its_field(case: Faulty) -> None:
    config, faults = parse_manifest(manifest(case.spec))
    assert config is None
    assert [fault.path for fault in faults if case.words in str(fault)] == [case.path], faults
    # A wrong name or type is told where it is, and again where it does not fit; nothing else is reported.
    two_sided = ("backends", "backends.0.name", "backends.1.name", "backends.0.otlp.auth", "backends.0.otlp.auth.type")
    assert len(faults) == 1 or case.at in two_sided, faults


def test_a_config_with_every_field_is_read_as_written() -> None:
    config, faults = parse_manifest(manifest(FULL))
    assert config is not None and faults == []
    spec = config.spec
    assert (config.name, config.namespace, config.written) == ("agents", "shop", FULL)
    assert spec.sidecar is not None and spec.backends is not None and spec.selector is not None
    assert spec.sidecar.drain_timeout == 90 and spec.sidecar.ports.metrics == 15000
    assert (spec.sidecar.receivers.otlp.grpc_port, spec.sidecar.receivers.otlp.http_port) == (15001, 15002)
    assert spec.sidecar.receivers.openai.parent_from is ParentFrom.METADATA_OR_REQUEST
    assert spec.sidecar.receivers.zipkin == ZipkinReceiver(15003)
    assert (spec.sidecar.storage.type, spec.sidecar.storage.size) == (StorageType.EPHEMERAL, 2 * 1024**3)
    assert spec.sidecar.storage.history == 512 * 1024**2
    assert spec.sidecar.storage.ephemeral == Ephemeral("fast.example")
    assert spec.buffer == Buffer(WhenFull.DROP_OLDEST, 1_000_000, 86400, 32 * 1024**2)
    assert spec.sidecar.resources.limits == {"cpu": "1", "memory": "512Mi", "ephemeral-storage": "2Gi"}
    tempo, standby = spec.backends
    assert (tempo.timeout, tempo.batch.max_spans, tempo.batch.max_bytes, tempo.batch.max_delay) == (
        3,
        100,
        1024**2,
        0.25,
    )
    assert tempo.retry == Retry(2, 60, 50, 0.1, ())
    assert standby.retry == Retry(1, 30, None, 0.2, (408, 500))
    assert tempo.circuit_breaker == CircuitBreaker(BreakerState.DISABLED, 3, 60, 0.25, 0.75, 2, 10, 10, 3600, 1)
    assert (tempo.otlp.max_connections, standby.otlp.max_connections) == (2, 4)
    assert (tempo.otlp.shard_by, standby.otlp.shard_by) == (ShardBy.TRACE_ID, ShardBy.NONE)
    assert tempo.otlp.compression is Compression.NONE and tempo.otlp.protocol is Protocol.GRPC
    assert [(h.name, h.value, h.secret_key_ref) for h in tempo.otlp.headers] == [
        ("X-Scope-OrgID", "shop", None),
        ("X-Key", None, SecretKeyRef("creds", "token")),
    ]
    assert isinstance(standby.otlp.auth, Auth) and standby.otlp.auth.type is AuthType.BASIC
    assert standby.otlp.auth.basic is not None and standby.otlp.auth.basic.username == "shop"
    match = 'span.status == "error"'
    assert spec.delivery == (
        DeliveryEntry("primary", ("tempo", "standby")),
        DeliveryEntry("copy", ("standby",), Spans.ALL, match, Guarantee.BEST_EFFORT, From.OLDEST, 300),
    )


def test_sampling_is_read_as_written() -> None:
    rules = (
        SamplingRule("errors", 'trace.status == "error"', 1),
        SamplingRule("premium", 'trace.root.attributes["user.plan"] == "premium"', 0.5),
    )
    groups = ("service.name", "gen_ai.agent.name", "operation")
    adaptive = SamplingDefault(DefaultType.ADAPTIVE, adaptive=Adaptive(250.5, Per.CONFIG, 0.001, 0.9, groups))
    assert parse_spec(FULL)[0].sampling == Sampling(60, rules, adaptive, 5000)
    nights = ScheduleEntry((Day.FRIDAY, Day.SATURDAY), 22 * 60, 6 * 60, "Europe/Berlin", 1)
    shares = SamplingDefault(DefaultType.PROBABILISTIC, Probabilistic(0.1, (nights,)))
    assert parse_spec(SCHEDULED)[0].sampling == Sampling(60, rules, shares, 5000)


def test_sampling_that_says_nothing_keeps_everything() -> None:
    everything = SamplingDefault(DefaultType.PROBABILISTIC, Probabilistic(1, ()))
    assert parse_spec({"sampling": {}}) == (ConfigSpec(sampling=Sampling(30, (), everything, 100_000)), [])
    written, _ = parse_spec({"sampling": {"default": {"type": "Adaptive"}}})
    assert written.sampling == Sampling(default=SamplingDefault(DefaultType.ADAPTIVE))
    assert written.sampling.default.adaptive == Adaptive(1000, Per.NAMESPACE, 0.01, 1, ("service.name",))
    entry = {"type": "Probabilistic", "probabilistic": {"schedule": [{"probability": 0.5}]}}
    scheduled = parse_spec({"sampling": {"default": entry}})[0].sampling
    assert scheduled is not None
    (always,) = scheduled.default.probabilistic.schedule
    assert always == ScheduleEntry(tuple(Day), 0, 24 * 60, "Etc/UTC", 0.5)


def test_all_mistakes_of_a_config_are_told_at_once() -> None:
    spec: dict[str, Any] = copy.deepcopy(FULL)
    cases = [case for case in FAULTY if case.at.startswith(("logLevel", "sidecar.d", "sidecar.ports.g"))]
    cases += [Faulty("delivery.0.backends", ["x"], "spec.delivery[0].backends[0]", "there is no backend 'x'")]
    # The list of backends is broken, too, and yet the stranger in delivery is found.
    cases += [Faulty("backends.0.timeout", 7, "spec.backends[0].timeout", "write 7s")]
    wanted = {}
    for case in cases:
        spec = changed(spec, case.at, case.value)
        wanted[case.path] = case
    obj = {**manifest(spec), "kind": "Tracing", "apiVersion": "v1", "metadata": {"name": "A_B"}, "extra": 1}
    config, faults = parse_manifest(obj)
    assert config is None
    assert {fault.path for fault in faults} == {*wanted, "kind", "apiVersion", "metadata.name", "extra"}


@pytest.mark.parametrize("obj", [None, [], "x", 3, {}, {"spec": None}, {"metadata": 3, "spec": {}}])
def test_what_is_not_a_tracing_config_is_said_to_be_none(obj: object) -> None:
    config, faults = parse_manifest(obj)
    assert config is None and faults
    assert all(fault.problem for fault in faults)


def test_a_spec_field_at_the_top_is_shown_its_place() -> None:
    _, faults = parse_manifest({**manifest({"backends": [BACKEND]}), "delivery": []})
    assert [str(fault) for fault in faults] == ["delivery: is not a known field (it belongs in spec)"]


def test_metadata_is_taken_over() -> None:
    obj = manifest({"backends": [BACKEND]})
    obj["metadata"] |= {"uid": "u", "generation": 4, "creationTimestamp": "2026-01-01T00:00:00Z", "labels": {}}
    config, _ = parse_manifest(obj)
    assert config is not None
    assert (config.uid, config.generation, config.created) == ("u", 4, "2026-01-01T00:00:00Z")
    del obj["metadata"]["namespace"]
    config, _ = parse_manifest(obj)
    assert config is not None and config.namespace == "default"


def test_sections_without_fault_are_still_read_beside_one_with() -> None:
    spec, faults = parse_spec({"logLevel": "Info", "backends": [BACKEND], "sidecar": {"ports": 3}}, "x")
    assert [fault.path for fault in faults] == ["x.sidecar.ports"]
    assert spec.log_level == "Info" and spec.backends is not None and spec.sidecar is None


def test_an_absent_section_stays_absent() -> None:
    spec, faults = parse_spec({})
    assert faults == []
    assert spec == ConfigSpec()


def test_faults_are_bounded_and_the_rest_counted() -> None:
    backend = {"name": "", "timeout": 0, "batch": 1, "retry": 1, "otlp": {f"x{i}": 1 for i in range(30)}}
    _, faults = parse_spec({"backends": [backend] * 16})
    assert len(faults) == MAX_FAULTS
    assert "more faults are not listed" in str(faults[-1])


def test_values_of_the_wrong_form_are_not_repeated() -> None:
    """A password in the wrong place must not end up in logs, events and conditions."""
    otlp = {
        "protocol": "GRPC",
        "endpoint": "https://u:hunter2@a:1",
        "headers": [{"name": "hunter2 ", "value": "hunter2\x00"}],
    }
    _, faults = parse_spec({"backends": [{"name": "Hunter2", "type": "OTLP", "otlp": otlp}]})
    assert len(faults) == 4
    assert not any("hunter2" in str(fault).lower() for fault in faults)


def test_rules_have_room_in_the_policy() -> None:
    def rules(size: int) -> list[Fault]:
        texts = {f"a{number}": "x" * 2048 for number in range(16)}
        each = [{"name": f"R{n}", "condition": "error_rate > 0.05", "annotations": texts} for n in range(size)]
        return parse_spec({"alerts": {"rules": each}})[1]

    assert rules(1) == []
    (fault,) = rules(2)
    assert fault.path == "spec.alerts.rules" and "and may have 65536" in fault.problem
