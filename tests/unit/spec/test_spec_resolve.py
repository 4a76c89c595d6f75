"""Defaults, and what only the resolved whole can tell."""

from __future__ import annotations

from typing import Any

import pytest

from spec_cases import BACKEND, FULL, REF, changed
from tracekeeper_spec.config import (
    BreakerState,
    Buffer,
    CircuitBreaker,
    ConfigSpec,
    DeliveryEntry,
    LogLevel,
    Retry,
    WhenFull,
)
from tracekeeper_spec.parse import parse_spec
from tracekeeper_spec.resolve import DEFAULT_SIDECAR, ResolvedSpec, check_resolved, resolve, warnings


def resolved(spec: dict[str, Any]) -> ResolvedSpec:
    read, faults = parse_spec(spec)
    assert faults == []
    return resolve(read)


SOUND = changed(FULL, "sidecar.drainTimeout", "20s")


def backend(name: str, endpoint: str = "http://127.0.0.1:4317", **otlp: object) -> dict[str, Any]:
    return {**BACKEND, "name": name, "otlp": {"protocol": "GRPC", "endpoint": endpoint, **otlp}}


def test_the_defaults() -> None:
    got = resolved({"backends": [BACKEND]})
    assert (got.suspend, got.log_level, got.sidecar) == (False, LogLevel.INFO, DEFAULT_SIDECAR)
    sidecar = got.sidecar
    assert sidecar.resources.requests == {"cpu": "50m", "memory": "96Mi"}
    assert sidecar.resources.limits == {"memory": "256Mi"}
    assert (sidecar.ports.metrics, sidecar.receivers.otlp.grpc_port, sidecar.receivers.otlp.http_port) == (
        14316,
        4317,
        4318,
    )
    assert (sidecar.storage.type, sidecar.storage.size, sidecar.drain_timeout) == ("EmptyDir", 2**30, 20)
    (a,) = got.backends
    assert a.timeout == 10
    assert (a.batch.max_spans, a.batch.max_bytes, a.batch.max_delay) == (2048, 2**20, 1)
    assert a.retry == Retry(1, 30, None, 0.2, ())
    assert a.circuit_breaker == CircuitBreaker(BreakerState.AUTO, 5, 30, 0.5, 1, 8, 20, 30, 300, 2)
    assert got.buffer == Buffer(WhenFull.REFUSE, None, None, 16 * 2**20)
    assert (sidecar.storage.history, sidecar.storage.ephemeral) == (2**29, None)
    assert (a.otlp.headers, a.otlp.auth, a.otlp.tls) == ((), None, None)


def test_without_delivery_each_backend_has_an_entry_of_its_own() -> None:
    got = resolved({"backends": [backend("a"), backend("b")]})
    assert got.delivery == (DeliveryEntry("a", ("a",)), DeliveryEntry("b", ("b",)))


def test_what_follows_other_fields_when_it_is_not_written() -> None:
    entry = {"name": "x", "backends": ["a"]}
    spec = {
        "sidecar": {"storage": {"size": "64Mi"}},
        "backends": [{**BACKEND, "timeout": "5s"}],
        "delivery": [entry, {**entry, "name": "y", "guarantee": "BestEffort"}],
    }
    got = resolved(spec)
    assert got.sidecar.storage.history == 32 * 2**20 and got.buffer.dead_letter_size == 8 * 2**20
    assert got.backends[0].circuit_breaker.slow_call_duration == 4
    assert [entry.max_lag for entry in got.delivery] == [None, 600]


def test_compression_follows_the_scheme_unless_it_is_written() -> None:
    specs = [backend("a"), backend("b", "https://b:1"), backend("c", compression="Gzip")]
    got = resolved({"backends": [*specs, backend("d", "https://d:1", compression="None")]})
    assert [b.otlp.compression.value for b in got.backends] == ["None", "Gzip", "Gzip", "None"]


def test_a_section_that_is_written_gets_the_defaults_of_its_fields() -> None:
    got = resolved({"sidecar": {"storage": {"size": "2Gi"}}, "backends": [BACKEND]})
    assert got.sidecar.storage.size == 2**31
    assert got.sidecar.storage.type == "EmptyDir" and got.sidecar.ports == DEFAULT_SIDECAR.ports


@pytest.mark.parametrize(
    ("resources", "requests", "limits"),
    [
        ({"limits": {"memory": "64Mi"}}, {"cpu": "50m", "memory": "64Mi"}, {"memory": "64Mi"}),
        ({"limits": {"cpu": "10m"}}, {"cpu": "10m", "memory": "96Mi"}, {"cpu": "10m", "memory": "256Mi"}),
        ({"requests": {"memory": "1Gi"}}, {"cpu": "50m", "memory": "1Gi"}, {"memory": "1Gi"}),
        (
            {"requests": {"memory": "1Gi"}, "limits": {"cpu": "1"}},
            {"cpu": "50m", "memory": "1Gi"},
            {"cpu": "1", "memory": "1Gi"},
        ),
        ({"limits": {}}, {"cpu": "50m", "memory": "96Mi"}, {"memory": "256Mi"}),
        ({"requests": {}}, {"cpu": "50m", "memory": "96Mi"}, {"memory": "256Mi"}),
        (
            {"requests": {"cpu": "20m"}, "limits": {"memory": "64Mi", "ephemeral-storage": "2Gi"}},
            {"cpu": "20m", "memory": "64Mi"},
            {"memory": "64Mi", "ephemeral-storage": "2Gi"},
        ),
    ],
)
def test_default_requests_never_exceed_limits(
    resources: dict[str, Any], requests: dict[str, str], limits: dict[str, str]
) -> None:
    got = resolved({"sidecar": {"resources": resources}, "backends": [BACKEND]}).sidecar.resources
    assert (got.requests, got.limits) == (requests, limits)


def test_a_config_needs_a_backend_unless_it_is_suspended() -> None:
    (fault,) = check_resolved(resolve(ConfigSpec()))
    assert fault.path == "spec.backends" and "spans have nowhere to go" in fault.problem
    assert check_resolved(resolve(ConfigSpec(suspend=True))) == []
    assert check_resolved(resolved(FULL)) == []


def test_delivery_from_another_config_is_checked_against_the_backends_that_there_are() -> None:
    mine, _ = parse_spec({"delivery": [{"name": "x", "backends": ["tempoo"]}]})
    theirs, _ = parse_spec({"backends": [backend("tempo")]})
    merged = resolve(ConfigSpec(backends=theirs.backends, delivery=mine.delivery))
    assert [str(fault) for fault in check_resolved(merged)] == [
        "spec.delivery[0].backends[0]: there is no backend 'tempoo' (did you mean tempo?)"
    ]


def test_without_sampling_everything_is_kept_at_once() -> None:
    assert resolved({"backends": [BACKEND]}).sampling is None
    assert resolved(FULL).sampling == parse_spec(FULL)[0].sampling is not None


@pytest.mark.parametrize(("memory", "sure"), [("256", True), ("32Mi", True), ("64Mi", False), ("256Mi", False)])
def test_memory_in_which_no_sidecar_runs_is_a_warning(memory: str, sure: bool) -> None:
    spec = {"backends": [BACKEND], "sidecar": {"resources": {"limits": {"memory": memory}}}}
    found = [fault.path for fault in warnings(resolved(spec))]
    assert found == (["spec.sidecar.resources.limits.memory"] if sure else [])


@pytest.mark.parametrize(
    ("sampling", "sure"),
    [
        ({}, False),
        ({"rules": [{"name": "all", "match": "true", "probability": 1}]}, False),
        ({"rules": [{"name": "noise", "match": "trace.spans < 2", "probability": 0}]}, True),
        ({"default": {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}}, True),
        ({"default": {"type": "Probabilistic", "probabilistic": {"schedule": [{"probability": 0.5}]}}}, True),
        ({"default": {"type": "Adaptive"}}, True),
    ],
)
def test_sampling_that_changes_nothing_is_a_warning(sampling: dict[str, Any], sure: bool) -> None:
    found = warnings(resolved({"backends": [BACKEND], "sampling": sampling}))
    assert [fault.path for fault in found] == ([] if sure else ["spec.sampling"])


def test_sampling_that_nobody_heeds_and_spans_that_do_not_live_to_see_it_are_warnings() -> None:
    adaptive = {"decisionWait": "1m", "default": {"type": "Adaptive"}}
    spec = {
        "backends": [BACKEND],
        "delivery": [{"name": "x", "backends": ["a"], "spans": "All"}],
        "sampling": adaptive,
        "buffer": {"maxAge": "1m"},
    }
    found = warnings(resolved(spec))
    assert [fault.path for fault in found] == ["spec.sampling", "spec.buffer.maxAge"]
    assert "every delivery entry takes all spans" in found[0].problem and "decisionWait is 1m" in found[1].problem
    assert warnings(resolved(changed(spec, "buffer.maxAge", "2m")))[1:] == []


def test_a_backend_is_found_by_name() -> None:
    assert resolved(FULL).backend("standby").name == "standby"
    with pytest.raises(KeyError):
        resolved(FULL).backend("nobody")


def test_where_requests_go() -> None:
    tempo, standby = resolved(FULL).backends
    assert tempo.otlp.target == "tempo.obs:4317" and tempo.otlp.secure
    assert standby.otlp.traces_url == "https://tempo.dr/otlp/v1/traces"
    six = resolved({"backends": [backend("a", "http://[::1]:4317/")]}).backends[0].otlp
    assert six.target == "[::1]:4317" and not six.secure


def test_a_sound_config_gives_no_warning() -> None:
    assert warnings(resolved(SOUND)) == []


def test_what_is_probably_not_meant_is_a_warning() -> None:
    spec = changed(FULL, "backends.1.otlp.endpoint", "http://tempo.dr")
    spec = changed(spec, "delivery", [{"name": "x", "backends": ["standby"]}])
    spec = changed(spec, "backends.0.batch.maxBytes", "8Mi")
    spec = changed(spec, "backends.0.circuitBreaker", {"openFor": "20m", "maxOpenFor": "1h"})
    elsewhere = changed(spec, "sidecar.storage.size", "4Gi")
    spec = changed(spec, "sidecar.storage", {"type": "EmptyDir", "size": "4Gi"})
    assert not any("ephemeral-storage" in fault.path for fault in warnings(resolved(elsewhere)))
    assert [fault.path for fault in warnings(resolved(spec))] == [
        "spec.sidecar.drainTimeout",
        "spec.sidecar.resources.limits.ephemeral-storage",
        "spec.backends[0]",
        "spec.backends[1].otlp.endpoint",
        "spec.backends[0].batch.maxBytes",
        "spec.backends[0].circuitBreaker.openFor",
    ]
    unsure = [{"name": "x", "backends": ["a"], "guarantee": "BestEffort"}]
    (warning,) = warnings(resolved({"backends": [backend("a")], "delivery": unsure}))
    assert warning.path == "spec.delivery" and "every entry is BestEffort" in warning.problem
    header = backend("a", headers=[{"name": "k", "secretKeyRef": REF}])
    (warning,) = warnings(resolved({"backends": [header]}))
    assert "a token is sent unencrypted" in warning.problem
