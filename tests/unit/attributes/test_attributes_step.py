"""The step: where the values that it sets come from, and what of its config is refused."""

from __future__ import annotations

from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

import otlp_requests
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.process.attributes import AttributesStep, make
from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.parse import parse_spec

MEANS = Means(
    pod=Pod("shop", "web-7", "0f-1"),
    labels={"app.kubernetes.io/name": "web", "empty": ""},
    annotations={"example.com/team": "care"},
    facts={"node": "n1"},
)


def faults(attributes: dict[str, Any]) -> list[str]:
    _, found = parse_spec({"processors": [{"name": "tags", "type": "Attributes", "attributes": attributes}]})
    return [str(fault).partition(".attributes")[2].lstrip(".") for fault in found if "processors" in fault.path]


def step(means: Means = MEANS, **attributes: Any) -> AttributesStep:
    spec, found = parse_spec({"processors": [{"name": "tags", "type": "Attributes", "attributes": attributes}]})
    assert not found and spec.processors is not None, found
    return make(spec.processors[0], means)


def after(step: AttributesStep, **context: str) -> dict[str, AnyValue]:
    """The attributes of the one span of a request."""
    request = Request(otlp_requests.body(1, attributes=1), 1, context=context)
    step.run(request)
    span = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans[0]
    assert request.spans == 1
    return {pair.key: pair.value for pair in span.attributes}


def test_values_are_what_is_written() -> None:
    tags = step(
        set=[
            {"key": "text", "value": "ü"},
            {"key": "none", "value": ""},
            {"key": "number", "value": "-7", "valueType": "Integer"},
            {"key": "share", "value": "0.5", "valueType": "Decimal"},
            {"key": "yes", "value": "true", "valueType": "Boolean"},
        ]
    )
    assert after(tags) == {
        "key.0": AnyValue(string_value="value"),
        "text": AnyValue(string_value="ü"),
        "none": AnyValue(string_value=""),
        "number": AnyValue(int_value=-7),
        "share": AnyValue(double_value=0.5),
        "yes": AnyValue(bool_value=True),
    }


def test_values_come_from_the_pod_and_what_is_not_known_is_not_set() -> None:
    tags = step(
        set=[
            {"key": "k8s.pod.name", "fromPod": "Name"},
            {"key": "k8s.namespace.name", "fromPod": "Namespace"},
            {"key": "k8s.pod.uid", "fromPod": "UID"},
            {"key": "k8s.node.name", "fromPod": "Node"},
            {"key": "k8s.serviceaccount.name", "fromPod": "ServiceAccount"},
            {"key": "app", "fromLabel": "app.kubernetes.io/name"},
            {"key": "missing", "fromLabel": "empty"},
            {"key": "key.0", "fromLabel": "absent"},
            {"key": "team", "fromAnnotation": "example.com/team"},
        ]
    )
    assert {key: value.string_value for key, value in after(tags).items()} == {
        "key.0": "value",
        "k8s.pod.name": "web-7",
        "k8s.namespace.name": "shop",
        "k8s.pod.uid": "0f-1",
        "k8s.node.name": "n1",
        "app": "web",
        "team": "care",
    }


def test_values_come_from_the_request() -> None:
    tags = step(set=[{"key": "tenant", "fromContext": "X-Tenant"}, {"key": "fixed", "value": "1"}])
    assert tags.wants == {"x-tenant"}
    assert after(tags, **{"x-tenant": "blue"})["tenant"].string_value == "blue"
    assert "tenant" not in after(tags) and "fixed" in after(tags)
    after(tags, **{"x-tenant": "\udc80"})


def test_the_parts_are_done_in_their_order() -> None:
    tags = step(
        copy=[{"from": "key.0", "to": "copied"}],
        rename=[{"from": "key.0", "to": "renamed"}],
        delete=["other"],
        set=[{"key": "renamed", "value": "default", "ifMissing": True}, {"key": "key.0", "value": "new"}],
    )
    assert {key: value.string_value for key, value in after(tags).items()} == {
        "copied": "value",
        "renamed": "value",
        "key.0": "new",
    }


def test_resources_get_what_their_spans_share() -> None:
    request = Request(otlp_requests.body(2), 2)
    step(
        target="Resource",
        match='resource.attributes["service.name"] == "shop"',
        set=[{"key": "k8s.pod.name", "fromPod": "Name"}, {"key": "service.name", "value": "x", "ifMissing": True}],
    ).run(request)
    [group] = ExportTraceServiceRequest.FromString(request.body).resource_spans
    assert [(pair.key, pair.value.string_value) for pair in group.resource.attributes] == [
        ("service.name", "shop"),
        ("k8s.pod.name", "web-7"),
    ]


@pytest.mark.parametrize(
    ("attributes", "says"),
    [
        ({}, "set: is required (or write copy, rename or delete)"),
        ({"set": [{"key": "a"}]}, "set[0].value: is required (or write one of fromPod,"),
        ({"set": [{"key": "a", "value": "x", "fromPod": "Name"}]}, "set[0].fromPod: does not go with value"),
        ({"set": [{"key": "a", "fromPod": "Name", "valueType": "Integer"}]}, "set[0].valueType: goes with value alone"),
        (
            {"set": [{"key": "a", "value": "x", "valueType": "Integer"}]},
            "set[0].value: must be a value of the type I",
        ),
        (
            {"set": [{"key": "a", "value": "1", "valueType": "Boolean"}]},
            "set[0].value: must be a value of the type B",
        ),
        (
            {"set": [{"key": "a", "value": "nan", "valueType": "Decimal"}]},
            "set[0].value: must be a value of the",
        ),
        (
            {"set": [{"key": "a", "fromContext": "Cookie"}]},
            "set[0].fromContext: must not be Cookie, which holds",
        ),
        ({"set": [{"key": "a", "value": "x"}] * 2}, "set[1].key: 'a' is written by set[0] already"),
        ({"copy": [{"from": "a", "to": "a"}]}, "copy[0].to: is the same as from"),
        ({"copy": [{"from": "a", "to": "b"}], "delete": ["b"]}, "delete[0]: 'b' is written by copy[0]"),
        (
            {"rename": [{"from": "a", "to": "b"}, {"from": "a", "to": "c"}]},
            "rename[1].from: 'a' is renamed by rename[0]",
        ),
        ({"rename": [{"from": "a", "to": "b"}], "delete": ["a"]}, "delete[0]: 'a' is renamed by rename[0] already"),
        ({"delete": ["a", "a"]}, "delete[1]: 'a' is deleted by delete[0] already"),
        ({"delete": ["a"], "match": "span.colour == 1"}, "match: at character 6: span has no field colour"),
        (
            {"delete": ["a"], "target": "Resource", "match": "span.is_root"},
            "match: speaks of a span, and target is",
        ),
    ],
)
def test_what_cannot_be_meant_is_a_fault(attributes: dict[str, Any], says: str) -> None:
    assert any(fault.startswith(says) for fault in faults(attributes)), faults(attributes)
