"""What pods say of themselves fills nobody's memory: whoever may make pods may write what they like into them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from dataclasses import fields, is_dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from control_api import Api, serve
from tracekeeper_operator import kube as client
from tracekeeper_operator.access import Access
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.errors import Unavailable
from tracekeeper_operator.kinds import PODS
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.pods.facts import lean, read
from tracekeeper_operator.pods.health import health
from tracekeeper_operator.pods.index import INJECTED
from tracekeeper_operator.tasks import run_until
from tracekeeper_operator.watch import Watch
from waiting import until

Object = dict[str, Any]
MUCH = "x" * 250_000
KEPT = 20_000
"""Characters that are kept of one pod, at most."""


def hostile(name: str = "a", *, much: str = MUCH) -> Object:
    """A pod that says a lot wherever it may."""
    annotations = ["inject", "image", "sidecar-image", "sidecar-version", "resolved-from", "else"]
    return {
        "metadata": {
            "name": name,
            "namespace": "shop",
            "uid": f"uid-of-{name}",
            "labels": {"app": "care", "tracekeeper.dev/injected": "true"}
            | {f"{number}.example/{'k' * 200}": "v" * 63 for number in range(len(much) // 250)},
            "annotations": {f"tracekeeper.dev/{each}": much for each in annotations},
            "ownerReferences": [
                {"apiVersion": much, "kind": much, "name": much, "uid": much, "controller": True},
                {"apiVersion": "v1", "kind": "Else", "name": much, "uid": much},
            ],
            "managedFields": [{"manager": much}],
            "finalizers": [much],
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
    }


def characters(found: object) -> int:
    """How many are in all texts of it."""
    if isinstance(found, str):
        return len(found)
    if is_dataclass(found):
        return sum(characters(getattr(found, each.name)) for each in fields(found))
    if isinstance(found, dict):
        return sum(characters(each) for pair in found.items() for each in pair)
    return sum(map(characters, found)) if isinstance(found, list | tuple) else 0


def test_what_is_kept_of_a_pod_is_bounded() -> None:
    facts = read(hostile())
    assert characters(facts) < KEPT
    assert (facts.namespace, facts.name, facts.uid) == ("shop", "a", "uid-of-a")
    assert facts.labels and facts.owner is not None
    assert len(read(hostile(much="y" * 253)).inject) == 253, "what may be a name stays whole"


def test_what_is_kept_of_a_sidecar_that_fails_is_bounded() -> None:
    said = {"name": "tracekeeper-sidecar", "image": MUCH, "containerID": MUCH}
    waiting = {"reason": MUCH, "message": MUCH}
    found = health(
        {
            "spec": {"initContainers": [{"name": "tracekeeper-sidecar", "image": MUCH}]},
            "status": {"initContainerStatuses": [{**said, "state": {"waiting": waiting}}]},
        }
    )
    assert found is not None and characters(found) < KEPT


TEXTS = st.sampled_from(["", "true", "strict", "x" * 2000])


@given(st.dictionaries(st.sampled_from(["inject", "image", "sidecar-image", "else"]), TEXTS), TEXTS, st.booleans())
def test_what_a_list_keeps_of_a_pod_says_the_same(annotations: dict[str, str], text: str, deleted: bool) -> None:
    manifest: Object = hostile(much=text)
    manifest["metadata"]["annotations"] = {f"tracekeeper.dev/{key}": value for key, value in annotations.items()}
    if deleted:
        manifest["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
    assert read(lean(manifest)) == read(manifest)
    assert read(lean({"metadata": {"name": "bare", "annotations": None}})) == read({"metadata": {"name": "bare"}})


class Seen:
    """Remembers what it is given."""

    def __init__(self) -> None:
        self.found: list[Object] = []

    def replace(self, manifests: Iterable[Object]) -> None:
        self.found = list(manifests)

    def put(self, manifest: Object) -> None:
        self.found.append(manifest)

    def remove(self, manifest: Object) -> None:
        raise AssertionError("nothing is removed here")


async def test_a_list_of_pods_never_is_in_memory_as_it_came() -> None:
    memory = Seen()
    async with serve() as api, Kube(Access(api.url), timeout=5.0) as kube:
        for number in range(4):
            api.put("pods", hostile(f"p{number}"))
        stop = asyncio.Event()
        task = asyncio.create_task(run_until(stop, {"watch": Watch(kube, INJECTED, memory, SystemClock()).run()}))
        try:
            await until(lambda: len(memory.found) == 4)
        finally:
            stop.set()
            await task
    assert characters(memory.found) < 4 * KEPT


async def test_pages_that_are_too_large_are_asked_for_in_smaller_ones() -> None:
    each = "y" * (client.MAX_PAGE // 10)
    async with serve(Api()) as api, Kube(Access(api.url), timeout=10.0) as kube:
        for number in range(25):
            api.put("pods", {"metadata": {"name": f"p{number:02}", "namespace": "shop"}, "note": each})
        sizes, names = [], []
        async for page in kube.pages(PODS, "shop", size=20):
            sizes.append(len(page.items))
            names += [item["metadata"]["name"] for item in page.items]
            assert len(json.dumps(page.items)) <= client.MAX_PAGE
    assert names == [f"p{number:02}" for number in range(25)]
    assert sizes[:1] == [5] and len(sizes) <= 6


async def test_one_object_may_be_larger_than_a_page_and_not_without_bound() -> None:
    async with serve() as api, Kube(Access(api.url), timeout=10.0) as kube:
        api.put("pods", {"metadata": {"name": "p", "namespace": "shop"}, "note": "y" * client.MAX_PAGE})
        listing = await kube.list(PODS)
        assert len(listing.items) == 1
        api.put("pods", {"metadata": {"name": "p", "namespace": "shop"}, "note": "y" * client.MAX_ANSWER})
        with pytest.raises(Unavailable, match="larger than"):
            await kube.list(PODS)
