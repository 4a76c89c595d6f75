"""What `tracekeeper doctor` makes of what sidecars tell of themselves, and of containers whose spans do not come."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from cli_world import pod, well
from control_api import Api
from control_objects import Object, config
from tracekeeper_cli.__main__ import main

SOURCE = "shop/agents@1"
ABOUT = "TracingConfig shop/agents"
MONITOR: Object = {"selector": {}, "podMetricsEndpoints": [{"port": "tk-metrics"}]}
Doctor = Callable[[], Any]


@pytest.fixture
def doctor(capsys: pytest.CaptureFixture[str]) -> Doctor:
    """Everything that was found, and the exit code."""

    async def command() -> tuple[int, list[dict[str, str]]]:
        status = await asyncio.to_thread(main, ["doctor", "--json"])
        return status, json.loads(capsys.readouterr().out)["findings"]

    return command


def tells(api: Api, **pods: Any) -> None:
    api.put("tracingconfigs", well(config(), pods={"matched": 9, **pods}))


async def test_silent_pods_are_named(api: Api, doctor: Doctor) -> None:
    tells(api, silent=3, silentPods=["shop/a", "shop/b"])
    _, (found,) = await doctor()
    assert (found["reason"], found["about"]) == ("Silent", ABOUT)
    assert found["problem"].startswith("3 of 9 pods") and found["problem"].endswith(": shop/a, shop/b and others")
    tells(api, silent=1, silentPods=["shop/a"])
    assert (await doctor())[1][0]["problem"].endswith(": shop/a")


async def test_a_certificate_of_a_backend_that_ends_soon(api: Api, doctor: Doctor) -> None:
    message = "Secret client: the certificate in its key tls.crt ends at 2027-01-29T05:36:00Z: renew it"
    condition = {"type": "ResolvedRefs", "status": "True", "reason": "CertificateEnds", "message": message}
    api.put("tracingconfigs", well(config(), conditions=[condition]))
    status, (found,) = await doctor()
    assert (status, found["reason"], found["about"], found["problem"]) == (1, "CertificateExpiry", ABOUT, message)


async def test_sampling_at_its_floor(api: Api, doctor: Doctor) -> None:
    tells(api, atFloor=2)
    status, (found,) = await doctor()
    assert (status, found["reason"], found["about"]) == (1, "SamplingAtFloor", ABOUT)
    assert "targetTracesPerSecond" in found["next"] and "2 of 9 pods" in found["problem"]


async def test_where_nobody_knows_whether_somebody_was_meant_to_scrape_it_is_a_note(api: Api, doctor: Doctor) -> None:
    tells(api, unscraped=2)
    api.fail("GET", "/podmonitors", 404, "404 page not found")
    status, (found,) = await doctor()
    assert (status, found["severity"], found["reason"], found["about"]) == (0, "Note", "NotScraped", ABOUT)
    assert "observe.md" in found["next"]


def injected() -> Object:
    """With the sidecar's port as the injector writes it."""
    made = pod(injected=SOURCE)
    made["spec"]["initContainers"][0]["ports"] = [{"name": "tk-metrics", "containerPort": 14316, "protocol": "TCP"}]
    return made


def monitor(space: str = "monitoring", **spec: Any) -> Object:
    return {"metadata": {"name": "sidecars", "namespace": space}, "spec": {**MONITOR, **spec}}


@pytest.mark.parametrize(
    "made",
    [
        monitor(namespaceSelector={"any": True}),
        monitor(namespaceSelector={"matchNames": ["shop"]}, selector={"matchLabels": {"app": "care"}}),
        monitor("shop"),
        monitor("shop", podMetricsEndpoints=[{"port": "web"}, {"portNumber": 14316}]),
        monitor("shop", podMetricsEndpoints=[{"targetPort": "tk-metrics"}]),
        monitor("shop", selector={"matchExpressions": [{"key": "app", "operator": "In", "values": ["care"]}]}),
    ],
)
async def test_a_pod_monitor_that_selects_them_is_named(api: Api, doctor: Doctor, made: Object) -> None:
    tells(api, unscraped=1)
    api.put("pods", injected())
    api.put("podmonitors", json.loads(json.dumps(made)))
    status, (found,) = await doctor()
    assert (status, found["severity"], found["reason"]) == (1, "Warning", "NotScraped")
    assert f"PodMonitor {made['metadata']['namespace']}/sidecars selects them" in found["next"]
    assert "kubectl tracekeeper network-policy -n shop" in found["next"]


@pytest.mark.parametrize(
    "made",
    [
        monitor(),
        monitor(namespaceSelector={"matchNames": ["other"]}),
        monitor("shop", selector={"matchLabels": {"app": "other"}}),
        monitor("shop", selector={"matchExpressions": [{"key": "app", "operator": "DoesNotExist"}]}),
        monitor("shop", podMetricsEndpoints=[{"port": "metrics"}, {"portNumber": 9090}]),
        monitor("shop", podMetricsEndpoints=[]),
    ],
)
async def test_where_none_selects_them_it_says_where_there_is_one_to_copy(
    api: Api, doctor: Doctor, made: Object
) -> None:
    tells(api, unscraped=1)
    api.put("pods", injected())
    api.put("podmonitors", json.loads(json.dumps(made)))
    status, (found,) = await doctor()
    assert (status, found["reason"]) == (1, "NotScraped") and "no PodMonitor selects them" in found["next"]


async def test_nobody_is_asked_for_pod_monitors_while_all_are_scraped(api: Api, doctor: Doctor) -> None:
    tells(api, unscraped=0)
    assert await doctor() == (0, [])
    assert not api.requests("GET", "/podmonitors")


ENDPOINT, PROTOCOL = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
GENERAL = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({ENDPOINT: "http://tempo.obs:4318/v1/traces"}, "do not go to the sidecar"),
        ({ENDPOINT: "tempo.obs:4317"}, "do not go to the sidecar"),
        ({GENERAL: "http://otel.obs:4318", PROTOCOL: "http/protobuf"}, f"{GENERAL}=http://otel.obs:4318"),
        ({ENDPOINT: "http://localhost:4317", PROTOCOL: "http/protobuf"}, "by http/protobuf to port 4317"),
        ({ENDPOINT: "http://127.0.0.1:4318", PROTOCOL: "grpc"}, "by grpc to port 4318"),
        ({ENDPOINT: "http://127.0.0.1:5555/v1/traces"}, "to port 5555"),
        ({"OTEL_SDK_DISABLED": "TRUE"}, "makes no spans"),
        ({"OTEL_TRACES_EXPORTER": "none"}, "makes no spans"),
        ({"OTEL_TRACES_EXPORTER": "zipkin,console"}, "do not go to the sidecar"),
        ({"OTEL_TRACES_SAMPLER": "parentbased_always_off"}, "makes no spans"),
        ({"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.0"}, "makes no spans"),
        ({"OTEL_CONFIG_FILE": "/etc/otel.yaml"}, "goes by that file"),
    ],
)
async def test_containers_whose_spans_do_not_come(
    api: Api, doctor: Doctor, variables: dict[str, str], says: str
) -> None:
    made = injected()
    made["spec"]["containers"][0]["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    api.put("pods", made)
    status, (found,) = await doctor()
    assert (status, found["severity"], found["reason"], found["about"]) == (
        1,
        "Warning",
        "OwnExporter",
        "pod shop/care",
    )
    assert found["problem"].startswith("container app") and says in found["problem"] and found["next"]


@pytest.mark.parametrize(
    "variables",
    [
        {ENDPOINT: "http://127.0.0.1:4318/v1/traces", PROTOCOL: "http/protobuf"},
        {ENDPOINT: "http://[::1]:4317", PROTOCOL: "grpc"},
        {ENDPOINT: "localhost:4317"},
        {ENDPOINT: "http://127.0.0.1:4318/v1/traces", GENERAL: "http://otel.obs:4318"},
        {"OTEL_TRACES_EXPORTER": "console, otlp"},
        {"OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"},
        {"OTEL_SDK_DISABLED": "false"},
    ],
)
async def test_those_whose_spans_do(api: Api, doctor: Doctor, variables: dict[str, str]) -> None:
    made = injected()
    made["spec"]["containers"][0]["env"] = [{"name": name, "value": value} for name, value in variables.items()]
    api.put("pods", made)
    assert await doctor() == (0, [])


async def test_ports_are_those_that_the_sidecar_was_given(api: Api, doctor: Doctor) -> None:
    made = injected()
    made["spec"]["initContainers"][0]["args"] = ["run", "--http-listen=127.0.0.1:15318"]
    made["spec"]["containers"][0]["env"] = [{"name": ENDPOINT, "value": "http://127.0.0.1:15318/v1/traces"}]
    api.put("pods", made)
    assert await doctor() == (0, [])
    made["spec"]["containers"][0]["env"][0]["value"] = "http://127.0.0.1:4318/v1/traces"
    _, (found,) = await doctor()
    assert found["reason"] == "OwnExporter" and "15318 (http)" in found["next"]


async def test_of_what_comes_from_elsewhere_nothing_is_known(api: Api, doctor: Doctor) -> None:
    made = injected()
    source = {"configMapKeyRef": {"name": "settings", "key": "endpoint"}}
    made["spec"]["containers"][0]["env"] = [{"name": ENDPOINT, "valueFrom": source}]
    api.put("pods", made)
    status, (found,) = await doctor()
    assert (status, found["severity"]) == (0, "Note") and "valueFrom" in found["problem"]
