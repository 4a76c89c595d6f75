"""The index of injected pods: what it knows, whom it tells, and that its watch sees no other pod."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from control_api import Api, serve
from tracekeeper_operator.access import Access
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.pods.facts import read
from tracekeeper_operator.pods.findings import Findings
from tracekeeper_operator.pods.index import INJECTED, PodIndex
from tracekeeper_operator.tasks import run_until
from tracekeeper_operator.watch import Watch
from waiting import until


def pod(name: str, namespace: str = "shop", *, inject: str = "true", uid: str = "", **more: Any) -> dict[str, Any]:
    """An injected pod."""
    return {
        "metadata": {
            "name": name,
            "namespace": namespace,
            "uid": uid or f"uid-{namespace}-{name}",
            "labels": {"app": "care", "tracekeeper.dev/injected": "true"},
            "annotations": {
                "tracekeeper.dev/inject": inject,
                "tracekeeper.dev/resolved-from": "shop/agents@3,tracekeeper-system/root@1",
                "tracekeeper.dev/sidecar-image": "registry.example/tracekeeper-sidecar:1",
                "tracekeeper.dev/sidecar-version": "0.1.0",
            },
            **more,
        },
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


def test_reads_what_the_injector_wrote() -> None:
    facts = read(pod("a", inject="platform/strict"))
    assert (facts.image, facts.version) == ("registry.example/tracekeeper-sidecar:1", "0.1.0")
    assert facts.named == ("platform", "strict")
    assert read(pod("a", inject="strict")).named == ("shop", "strict")
    assert read(pod("a")).named is None
    assert read({"metadata": {"name": "bare", "annotations": None}}).inject == ""


def test_tells_of_namespaces_and_names_only_when_they_change() -> None:
    index = PodIndex()
    told: list[str] = []
    index.subscribe(told.append)
    index.put(pod("a"))
    index.put(pod("b"))
    assert (told, index.namespaces()) == (["shop"], frozenset({"shop"}))
    index.put(pod("c", inject="platform/strict"))
    index.put(pod("d", inject="platform/strict"))
    assert (told, index.named("shop")) == (["shop"] * 2, frozenset({("platform", "strict")}))
    index.remove(pod("c"))
    assert len(told) == 2
    index.remove(pod("d"))
    assert (len(told), index.named("shop")) == (3, frozenset())
    index.remove(pod("a", uid="an older one of that name"))
    assert len(list(index.of("shop"))) == 2
    index.replace([pod("a", "else")])
    assert (told[3:], index.namespaces()) == (["shop", "else"], frozenset({"else"}))


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["put", "remove", "replace"]),
        st.lists(
            st.tuples(
                st.sampled_from("abc"), st.sampled_from(["shop", "else"]), st.sampled_from(["true", "x", "else/y"])
            ),
            max_size=4,
        ),
    ),
    max_size=8,
)


@given(ACTIONS)
def test_is_what_it_would_be_if_it_were_filled_anew(actions: list[tuple[str, list[tuple[str, str, str]]]]) -> None:
    index = PodIndex()
    model: dict[tuple[str, str], dict[str, Any]] = {}
    known: dict[str, tuple[bool, frozenset[tuple[str, str]]]] = {}

    def told(namespace: str) -> None:
        now = (namespace in index.namespaces(), index.named(namespace))
        assert known.get(namespace, (False, frozenset())) != now
        known[namespace] = now

    index.subscribe(told)
    for action, pods in actions:
        manifests = [pod(name, namespace, inject=inject) for name, namespace, inject in pods]
        if action == "replace":
            index.replace(manifests)
            model = {}
        for manifest in manifests:
            key = (manifest["metadata"]["namespace"], manifest["metadata"]["name"])
            if action == "remove":
                index.remove(manifest)
                model.pop(key, None)
            else:
                index.put(manifest)
                model[key] = manifest
        fresh = PodIndex()
        fresh.replace(model.values())
        assert set(map(repr, index.all())) == set(map(repr, fresh.all()))
        for namespace in ("shop", "else"):
            assert (index.namespaces(), index.named(namespace)) == (fresh.namespaces(), fresh.named(namespace))
            there = (namespace in index.namespaces(), index.named(namespace))
            assert known.get(namespace, (False, frozenset())) == there


async def test_its_watch_brings_metadata_of_injected_pods_only() -> None:
    index, stop = PodIndex(), asyncio.Event()
    async with serve(Api()) as api, Kube(Access(api.url), timeout=2.0) as kube:
        api.put("pods", {"metadata": {"name": "not-ours", "namespace": "shop"}, "spec": {}})
        api.put("pods", pod("early"))
        watch = Watch(kube, INJECTED, index, SystemClock(), duration=0.5)
        task = asyncio.create_task(run_until(stop, {"watch": watch.run()}))
        await until(lambda: index.synced and api.watchers)
        api.put("pods", pod("late", "else"))
        await until(lambda: len(index) == 2)
        api.remove("pods", "shop", "early")
        await until(lambda: len(index) == 1)
        stop.set()
        await task
        for seen in api.requests("GET", "/pods"):
            assert seen.query["labelSelector"] == "tracekeeper.dev/injected=true"
            assert "as=PartialObjectMetadata" in seen.headers["Accept"]


async def test_knows_no_pod_that_has_finished() -> None:
    """One of a Job stays for days, and nothing of it runs."""
    index, clock = PodIndex(), SystemClock()
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:
        api.put("pods", pod("done") | {"status": {"phase": "Succeeded"}})
        api.put("pods", pod("job") | {"status": {"phase": "Running"}})
        stop = asyncio.Event()
        task = asyncio.create_task(run_until(stop, {"watch": Watch(kube, INJECTED, index, clock).run()}))
        try:
            await until(lambda: [each.name for each in index.all()] == ["job"] and api.watchers)
            api.put("pods", pod("job") | {"status": {"phase": "Failed"}})
            await until(lambda: len(index) == 0)
        finally:
            stop.set()
            await task


def test_a_namespace_is_vacant_once_no_sidecar_is_found_there_labelled_or_not() -> None:
    findings = Findings()
    index = PodIndex(findings.may_have_older)
    assert not index.vacant("shop")
    index.replace([pod("a")])
    assert not index.vacant("bank")  # Nobody has looked for pods of an earlier version yet.
    findings.take([], [read(pod("old", "bank"))])
    findings.complete = True
    assert [index.vacant(namespace) for namespace in ("shop", "bank", "else")] == [False, False, True]
    index.remove(pod("a"))
    findings.take([], [])
    assert index.vacant("shop") and index.vacant("bank")
