"""Pushes to a real Pushgateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from push_rig import POD, Gateway, page, running_gateway
from tracekeeper_sidecar.errors import PushFailed
from tracekeeper_sidecar.model import Pod
from tracekeeper_sidecar.push.caller import Caller
from tracekeeper_sidecar.push.pushgateway import KEPT, PushgatewayTarget, stale_pods

GROUP = "job=tracekeeper namespace=shop pod=job-1"
REQUESTS = f"tracekeeper_requests_total agent=a|b alerts=shop/agents {GROUP} service=shop status=ok"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[Gateway]:
    with running_gateway(tmp_path) as running:
        yield running


def target(gateway: Gateway, pod: Pod = POD, path: str = "") -> PushgatewayTarget:
    return PushgatewayTarget(Caller(gateway.endpoint + path, 1 << 20), pod, 60)


async def test_the_gateway_shows_what_was_pushed_last(gateway: Gateway) -> None:
    pushing = target(gateway, path="/")
    for requests in (3, 5):
        await pushing.push(page(requests), 10)
    pushing.close()
    shown = gateway.series()
    assert shown[REQUESTS] == 5
    assert shown[f"tracekeeper_log_bytes {GROUP}"] == 4096
    buckets = [value for name, value in shown.items() if name.startswith("tracekeeper_request_duration_seconds_bucket")]
    assert buckets == [5] * 23


async def test_what_pods_that_are_gone_have_pushed_is_removed(gateway: Gateway) -> None:
    other, elsewhere = Pod("shop", "job-0"), Pod("bank", "job-0")
    for pod in (POD, other, elsewhere):
        pushing = target(gateway, pod)
        await pushing.push(page(), 10)
        pushing.close()
    pushed = max(value for name, value in gateway.series().items() if name.startswith("push_time_seconds"))
    pushing = target(gateway)
    await pushing.tidy(pushed + KEPT - 60)
    assert gateway.pods() == {"job-0", "job-1"}
    await pushing.tidy(pushed + KEPT + 1)
    pushing.close()
    groups = {
        tuple(word for word in name.split() if "namespace=" in word or "pod=" in word) for name in gateway.series()
    }
    assert groups == {("namespace=shop", "pod=job-1"), ("namespace=bank", "pod=job-0")}


async def test_a_refusal_says_what_the_gateway_said(gateway: Gateway) -> None:
    pushing = target(gateway, path="/nothing/here")
    with pytest.raises(PushFailed, match=r"answers 404 Not Found: 404 page not found"):
        await pushing.push(page(), 10)
    pushing.close()


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'{"data": 7}', b'{"data": [7, {"labels": 8}, {"labels": {}}]}', b"[" * 100_000],
    ids=str,
)
def test_an_answer_that_cannot_be_read_removes_nothing(body: bytes) -> None:
    assert list(stale_pods(body, "shop", 1e12)) == []


@pytest.mark.parametrize(
    "pod",
    ["x HTTP/1.1\r\nHost: a\r\n\r\nDELETE /metrics/job/victim", "../../../../job/other", "a/b", "a%2fb", "A b", ""],
)
def test_a_group_that_somebody_has_named_so_is_no_pods(pod: str) -> None:
    labels = {"job": "tracekeeper", "namespace": "shop", "pod": pod}
    groups = [{"labels": labels, "push_time_seconds": {"metrics": [{"value": "1.7e+09"}]}}]
    assert list(stale_pods(json.dumps({"data": groups}).encode(), "shop", 1.8e9)) == []


@pytest.mark.parametrize("path", ["/a b", "/a\r\nHost: b", "/a\tb", "/é"])
async def test_what_is_no_path_is_not_asked_for(path: str) -> None:
    caller = Caller("http://127.0.0.1:9", 1 << 20)
    with pytest.raises(PushFailed, match="is no path"):
        await caller.call("DELETE", path, timeout=10)
    caller.close()


def test_groups_with_labels_of_their_own_are_somebody_elses() -> None:
    ours = {"job": "tracekeeper", "namespace": "shop", "pod": "job-0"}
    when = {"metrics": [{"value": "1.7e+09"}]}
    groups = [{"labels": labels, "push_time_seconds": when} for labels in (ours, {**ours, "zone": "a"})]
    assert list(stale_pods(json.dumps({"data": groups}).encode(), "shop", 1.8e9)) == ["job-0"]
