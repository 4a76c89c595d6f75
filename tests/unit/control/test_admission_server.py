"""The admission server over real HTTPS, asked as the API server asks."""

from __future__ import annotations

import base64
import io
import json
import ssl
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from control_objects import OPTIONS, config, pod, review
from tracekeeper_operator import certs
from tracekeeper_operator.access import load_chain
from tracekeeper_operator.admission import MAX_BODY, Admission
from tracekeeper_operator.bounds import Limits
from tracekeeper_operator.catalog import Catalog
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.events import Notice
from tracekeeper_operator.images import ImageMemory, Images, manifest
from tracekeeper_operator.inject import SkipReason
from tracekeeper_operator.metrics import InjectorMetrics
from tracekeeper_operator.settings import Address
from tracekeeper_operator.web import Server

DOCS = Path(__file__).parents[3] / "docs" / "reference" / "annotations.md"


@dataclass
class Rig:
    """The server, what it knows and what it announces."""

    session: aiohttp.ClientSession
    url: str = ""
    catalog: Catalog = field(default_factory=Catalog)
    metrics: InjectorMetrics = field(default_factory=InjectorMetrics)
    notices: list[Notice] = field(default_factory=list)
    limits: Limits = field(default_factory=Limits)
    images: ImageMemory = field(default_factory=ImageMemory)

    async def post(self, path: str, body: Any) -> tuple[int, Any]:
        data = body if isinstance(body, (bytes, io.BytesIO)) else json.dumps(body).encode()
        async with self.session.post(self.url + path, data=data) as answer:
            text = await answer.read()
            return answer.status, json.loads(text) if text.startswith(b"{") else text

    async def ask(self, path: str, body: Any) -> dict[str, Any]:
        """The response of a review that went well."""
        status, document = await self.post(path, body)
        assert (status, document["kind"], document["apiVersion"]) == (
            200,
            "AdmissionReview",
            "admission.k8s.io/v1",
        )
        found: dict[str, Any] = document["response"]
        assert found["uid"] == "review-1"
        return found

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(f"tracekeeper_injector_{name}_total", labels) or 0.0


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    material = certs.make(time.time(), ["localhost"], certs.Lives())
    serving = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    load_chain(serving, material.certificate, material.key)
    trust = ssl.create_default_context(cadata=material.ca)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=trust)) as session:
        rig = Rig(session)
        admission = Admission(
            rig.catalog, OPTIONS, rig.metrics, SystemClock(), rig.notices.append, rig.limits, rig.images
        )
        async with Server(admission.application(), Address("127.0.0.1", 0), tls=serving) as server:
            rig.url = f"https://localhost:{server.port}"
            rig.catalog.replace([config()])
            yield rig


async def test_injects(rig: Rig) -> None:
    answer = await rig.ask("/mutate", review(pod(inject="true")))
    assert answer["allowed"] is True
    assert answer["patchType"] == "JSONPatch"
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert {operation["op"] for operation in patch} == {"add"}
    assert patch[-1]["value"][0]["name"] == "tracekeeper-sidecar"
    (notice,) = rig.notices
    assert (notice.owner.kind, notice.owner.name, notice.reason) == ("ReplicaSet", "app-5f6d", "Injected")
    assert rig.count("admissions", webhook="mutate", result="injected") == 1


async def test_a_pod_that_is_asked_about_again_is_injected_once(rig: Rig) -> None:
    found = pod(inject="true")
    found["metadata"]["labels"]["tracekeeper.dev/injected"] = "true"
    found["spec"]["initContainers"] = [{"name": "tracekeeper-sidecar", "image": "s:1", "restartPolicy": "Always"}]
    assert "patch" in await rig.ask("/mutate", review(found))
    assert rig.count("admissions", webhook="mutate", result="injected") == 0
    assert rig.count("admissions", webhook="mutate", result="completed") == 1
    assert rig.notices == []


async def test_an_image_that_cannot_be_pulled_is_not_given(rig: Rig) -> None:
    known = Images().failed(OPTIONS.image, "no such tag", 1.0)
    rig.images.replace([manifest("tk", known)])
    answer = await rig.ask("/mutate", review(pod(inject="true")))
    assert answer["allowed"] is True and "patch" not in answer
    assert rig.count("skipped", skip_reason="NoImage") == 1
    assert rig.notices[0].reason == "InjectionSkipped" and "NoImage" in rig.notices[0].message
    rig.images.put(manifest("tk", known.proved("registry.example/tracekeeper-sidecar:0")))
    answer = await rig.ask("/mutate", review(pod(inject="true")))
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert patch[-1]["value"][0]["image"] == "registry.example/tracekeeper-sidecar:0"
    rig.images.remove({})
    answer = await rig.ask("/mutate", review(pod(inject="true")))
    assert json.loads(base64.b64decode(answer["patch"]))[-1]["value"][0]["image"] == OPTIONS.image


async def test_what_the_namespace_asks_of_containers_is_looked_up(rig: Rig) -> None:
    item = {"type": "Container", "max": {"memory": "200Mi"}}
    rig.limits.ranges.put({"metadata": {"name": "r", "namespace": "shop"}, "spec": {"limits": [item]}})
    answer = await rig.ask("/mutate", review(pod(inject="true")))
    patch = json.loads(base64.b64decode(answer["patch"]))
    assert patch[-1]["value"][0]["resources"]["limits"]["memory"] == "200Mi"
    assert "limits.memory 200Mi instead of 256Mi" in rig.notices[0].message


async def test_dry_runs_announce_nothing(rig: Rig) -> None:
    answer = await rig.ask("/mutate", review(pod(inject="true"), dry_run=True))
    assert "patch" in answer
    await rig.ask("/mutate", review(pod(inject="yes"), dry_run=True))
    assert rig.notices == []


async def test_skips_are_allowed_and_explained(rig: Rig) -> None:
    answer = await rig.ask("/mutate", review(pod(inject="yes")))
    assert answer["allowed"] is True and "patch" not in answer
    assert answer["warnings"][0].startswith("tracekeeper: InvalidAnnotation: ")
    assert [notice.reason for notice in rig.notices] == ["InjectionSkipped"]
    assert rig.notices[0].warning
    assert rig.count("skipped", skip_reason="InvalidAnnotation") == 1


async def test_pods_that_did_not_opt_in_are_left_alone_in_silence(rig: Rig) -> None:
    for found in (pod(), pod(inject="false")):
        answer = await rig.ask("/mutate", review(found))
        assert answer == {"uid": "review-1", "allowed": True}
    assert rig.notices == []


async def test_the_namespaces_label_opts_in_by_its_own_path(rig: Rig) -> None:
    assert "patch" in await rig.ask("/mutate/namespace", review(pod()))
    assert "patch" not in await rig.ask("/mutate/namespace", review(pod(inject="false")))


async def test_takes_the_namespace_from_the_request(rig: Rig) -> None:
    answer = await rig.ask("/mutate", review(pod(inject="true"), namespace="elsewhere"))
    assert b'"none"' in base64.b64decode(answer["patch"])
    assert rig.notices[0].reason == "InjectedWithoutPolicy"
    assert rig.notices[0].owner.namespace == "elsewhere"


async def test_each_namespace_has_its_own_configs(rig: Rig) -> None:
    rig.catalog.replace([config(), config("other", "elsewhere")])
    for namespace, source in (("shop", "shop/agents@1"), ("elsewhere", "elsewhere/other@1")):
        answer = await rig.ask("/mutate", review(pod(inject="true"), namespace=namespace))
        assert f'"{source}"'.encode() in base64.b64decode(answer["patch"])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1beta1"},
        {"kind": "Pod", "apiVersion": "v1"},
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1"},
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"uid": "x"}},
        {"kind": "AdmissionReview", "apiVersion": "admission.k8s.io/v1", "request": {"object": {}}},
        b"[" * 100_000,
    ],
)
async def test_malformed_reviews_are_refused(rig: Rig, body: Any) -> None:
    for path, webhook in (("/mutate", "mutate"), ("/validate", "validate")):
        status, document = await rig.post(path, body)
        assert status == 400
        assert document["error"]
        assert rig.count("admissions", webhook=webhook, result="malformed") == 1
    assert "patch" in await rig.ask("/mutate", review(pod(inject="true")))


async def test_bodies_are_bounded(rig: Rig) -> None:
    status, _ = await rig.post("/mutate", io.BytesIO(b"x" * (MAX_BODY + 1)))
    assert status == 413


@pytest.mark.parametrize("found", [{}, {"spec": 1, "metadata": []}, {"metadata": {}, "spec": {"containers": [1]}}])
async def test_a_pod_that_is_not_understood_starts(rig: Rig, found: dict[str, Any]) -> None:
    answer = await rig.ask("/mutate", review(found))
    assert answer["allowed"] is True and "patch" not in answer


async def test_denies_with_all_faults(rig: Rig) -> None:
    wrong = config(backends=[{"name": "A B", "type": "OTLP"}], logLevel="Loud", bakends=[])
    answer = await rig.ask("/validate", review(wrong))
    assert answer["allowed"] is False
    assert (answer["status"]["code"], answer["status"]["reason"]) == (422, "Invalid")
    for path in ("spec.backends[0].name", "spec.backends[0].otlp", "spec.logLevel", "spec.bakends"):
        assert path in answer["status"]["message"]
    assert rig.count("admissions", webhook="validate", result="denied") == 1


async def test_a_condition_is_denied_with_the_place_of_its_fault(rig: Rig) -> None:
    entry = {"name": "x", "backends": ["a"], "match": "span.durations > 1s"}
    answer = await rig.ask("/validate", review(config(delivery=[entry])))
    assert answer["allowed"] is False
    place = "spec.delivery[0].match: at character 6: span has no field durations (did you mean span.duration?)"
    assert place in answer["status"]["message"]


async def test_allows_and_warns(rig: Rig) -> None:
    answer = await rig.ask("/validate", review(config("second")))
    assert answer["allowed"] is True
    texts = "\n".join(answer["warnings"])
    assert "no redundancy" in texts
    assert "agents selects every pod too" in texts
    assert all(len(text) <= 250 for text in answer["warnings"])


async def test_a_config_without_faults_or_oddities_is_allowed_in_silence(rig: Rig) -> None:
    two = config()["spec"]["backends"] * 2
    fine = config(backends=[{**two[0], "name": "a"}, {**two[1], "name": "b"}])
    assert await rig.ask("/validate", review(fine)) == {"uid": "review-1", "allowed": True}


async def test_an_invalid_config_can_still_be_labelled(rig: Rig) -> None:
    old = config(logLevel="Loud")
    new = config(logLevel="Loud")
    new["metadata"]["labels"] = {"team": "care"}
    assert (await rig.ask("/validate", review(new, old=old)))["allowed"] is True
    worse = config(logLevel="Louder")
    assert (await rig.ask("/validate", review(worse, old=old)))["allowed"] is False


async def test_answers_are_timed(rig: Rig) -> None:
    await rig.ask("/mutate", review(pod(inject="true")))
    found = rig.metrics.registry.get_sample_value("tracekeeper_injector_admission_seconds_count")
    assert found == 1


@pytest.mark.parametrize("reason", list(SkipReason))
def test_every_reason_for_skipping_is_documented(reason: SkipReason) -> None:
    assert f"`{reason}`" in DOCS.read_text()
