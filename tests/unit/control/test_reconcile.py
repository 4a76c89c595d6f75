"""The controller's rounds against an API server: what is written, when, and what is not."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, backend, config, secret
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.clock import SystemClock
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.index import ConfigIndex
from tracekeeper_operator.errors import KubeError
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import SETTLED, Reconciler
from tracekeeper_operator.retire import BRIEFLY, RETIRED_FOR
from tracekeeper_operator.store import Store
from tracekeeper_operator.tasks import run_until
from tracekeeper_spec.policy import Control, PolicyDocument
from waiting import until


class Rig:
    """A reconciler and the server that it works on."""

    def __init__(self, api: Api, kube: Kube, clock: Any, resync: float) -> None:
        self.api, self.store = api, Store()
        self.metrics = ControllerMetrics()
        self.namespaces = Namespaces()
        self.namespaces.replace([])
        self.book = Book(self.store, self.namespaces, "observability")
        self.index = ConfigIndex(self.book)
        self.pods = PodIndex()
        self.control: Callable[[Control | None], Control | None] = lambda published: None
        self.reconciler = Reconciler(
            kube,
            self.store,
            clock,
            self.metrics,
            resync=resync,
            control=lambda published: self.control(published),
            book=self.book,
            demand=self.pods,
        )
        self.injected()

    def injected(self, *namespaces: str) -> None:
        """In each of them, and nowhere else, there is an injected pod."""
        self.pods.replace(
            [{"metadata": {"namespace": namespace, "name": "app", "uid": "uid-app"}} for namespace in namespaces]
        )

    def create(self, manifest: dict[str, Any]) -> None:
        """Create or change a config, and let the reconciler hear of it."""
        take({"type": "ADDED", "object": self.api.put("tracingconfigs", manifest)}, self.store, self.reconciler)

    def delete(self, namespace: str, name: str) -> None:
        gone = self.api.get("tracingconfigs", namespace, name)
        self.api.remove("tracingconfigs", namespace, name)
        take({"type": "DELETED", "object": gone}, self.store, self.reconciler)

    def document(self, namespace: str = "shop") -> PolicyDocument | None:
        found = self.api.objects.get(("secrets", namespace, "tracekeeper-policy"))
        return PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"])) if found else None

    def condition(self, kind: str, namespace: str = "shop", name: str = "agents") -> tuple[str, str] | None:
        status = self.api.get("tracingconfigs", namespace, name).get("status", {})
        for item in status.get("conditions", []):
            if item["type"] == kind:
                return item["status"], item["reason"]
        return None

    def writes(self) -> int:
        return len(self.api.requests("PATCH")) + len(self.api.requests("DELETE"))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        stop = asyncio.Event()
        task = asyncio.create_task(run_until(stop, {"reconcile": self.reconciler.run()}))
        try:
            yield
        finally:
            stop.set()
            await task


MakeRig = Callable[..., Rig]


@pytest.fixture
async def rig() -> AsyncIterator[MakeRig]:
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube:

        def build(clock: Any = None, resync: float = 3600.0) -> Rig:
            return Rig(api, kube, clock or StoodClock(), resync)

        yield build


async def test_publishes_and_tells(rig: MakeRig) -> None:
    it = rig()
    it.create(config())
    await it.reconciler.round("shop")
    document = it.document()
    assert document is not None and [entry.name for entry in document.configs] == ["agents"]
    assert it.condition("Ready") == ("True", "Published")
    status = it.api.get("tracingconfigs", "shop", "agents")["status"]
    assert status["policy"] == {
        "current": document.digest,
        "lastGood": document.digest,
        "revision": document.revision,
    }


async def test_writes_nothing_when_nothing_changed(rig: MakeRig) -> None:
    it = rig()
    it.create(config())
    await it.reconciler.round("shop")
    writes = it.writes()
    for _ in range(3):
        await it.reconciler.round("shop")
    assert it.writes() == writes == 2


async def test_a_restarted_operator_writes_nothing_either(rig: MakeRig) -> None:
    first = rig()
    first.create(config())
    await first.reconciler.round("shop")
    writes = first.writes()
    second = rig()
    await second.reconciler.list_once()
    await second.reconciler.round("shop")
    assert second.writes() == writes


async def test_the_revision_grows_across_restarts_and_deletions(rig: MakeRig) -> None:
    clock = StoodClock()
    it = rig(clock)
    it.create(config())
    await it.reconciler.round("shop")
    revisions = []
    for generation in range(3):
        it.api.remove("secrets", "shop", "tracekeeper-policy")
        clock.wall -= 1000
        it = rig(clock)
        await it.reconciler.list_once()
        it.create(config(logLevel="Debug" if generation % 2 else "Info"))
        await it.reconciler.round("shop")
        document = it.document()
        assert document is not None
        revisions.append(document.revision)
    assert revisions == sorted(set(revisions))
    assert revisions[0] > StoodClock().wall


async def test_a_status_that_was_tampered_with_is_mended(rig: MakeRig) -> None:
    it = rig()
    it.create(config())
    await it.reconciler.round("shop")
    it.api.get("tracingconfigs", "shop", "agents")["status"] = {"observedGeneration": 99}
    await it.reconciler.list_once()
    await it.reconciler.round("shop")
    assert it.condition("Ready") == ("True", "Published")


async def test_reads_the_secrets_that_are_named_and_no_others(rig: MakeRig) -> None:
    it = rig()
    it.api.put("secrets", secret("tempo", token="t0ken"))
    it.api.put("secrets", secret("other", token="never"))
    it.create(config(backends=[backend("a", "tempo"), backend("b", "missing")]))
    await it.reconciler.round("shop")
    document = it.document()
    assert document is not None and document.secrets == {"tempo": {"token": b"t0ken"}}
    assert it.condition("ResolvedRefs") == ("False", "SecretNotFound")
    assert not it.api.requests("GET", "/secrets/other")
    assert not it.api.requests("GET", "/secrets")


async def test_a_secret_that_cannot_be_read_is_told_and_tried_again(rig: MakeRig) -> None:
    it = rig()
    it.api.put("secrets", secret("tempo", token="t0ken"))
    it.create(config(backends=[backend("a", "tempo")]))
    it.api.fail("GET", "/secrets/tempo", 500, "etcd")
    with pytest.raises(KubeError, match="get secrets shop/tempo"):
        await it.reconciler.round("shop")
    assert it.condition("ResolvedRefs") == ("Unknown", "SecretUnreadable")
    assert it.condition("Ready") == ("False", "SecretUnreadable")
    await it.reconciler.round("shop")
    assert it.condition("Ready") == ("True", "Published")


async def test_a_failed_write_is_told_and_tried_again(rig: MakeRig) -> None:
    it = rig()
    it.create(config())
    it.api.fail("PATCH", "/tracekeeper-policy", 403, '{"message": "exceeded quota"}')
    with pytest.raises(KubeError, match="exceeded quota"):
        await it.reconciler.round("shop")
    assert it.condition("Ready") == ("False", "PublishFailed")
    await it.reconciler.round("shop")
    assert it.condition("Ready") == ("True", "Published")


async def test_one_status_that_cannot_be_written_holds_up_no_other(rig: MakeRig) -> None:
    it = rig()
    it.create(config("a"))
    it.create(config("b"))
    it.api.fail("PATCH", "/tracingconfigs/a/status", 500, "etcd")
    with pytest.raises(KubeError, match="shop/a"):
        await it.reconciler.round("shop")
    assert it.condition("Ready", name="a") is None
    assert it.condition("Accepted", name="b") == ("True", "Accepted")
    await it.reconciler.round("shop")
    assert it.condition("Ready", name="a") == ("True", "Published")


async def test_a_config_that_goes_meanwhile_is_no_fault(rig: MakeRig) -> None:
    it = rig()
    it.create(config())
    it.api.remove("tracingconfigs", "shop", "agents")
    await it.reconciler.round("shop")


async def test_the_last_config_takes_the_policy_along_once_it_has_retired(rig: MakeRig) -> None:
    clock = StoodClock()
    it = rig(clock)
    it.injected("shop")
    it.create(config("a"))
    it.create(config("b"))
    await it.reconciler.round("shop")
    it.delete("shop", "a")
    await it.reconciler.round("shop")
    document = it.document()
    assert document is not None
    assert [(entry.name, entry.retired) for entry in document.configs] == [("b", False), ("a", True)]
    it.delete("shop", "b")
    await it.reconciler.round("shop")
    document = it.document()
    assert document is not None and all(entry.retired for entry in document.configs)
    clock.wall += RETIRED_FOR
    await it.reconciler.round("shop")
    assert it.document() is None


async def test_where_no_pod_is_injected_the_last_config_takes_the_policy_along_within_a_minute(rig: MakeRig) -> None:
    clock = StoodClock()
    it = rig(clock)
    it.create(config("a"))
    await it.reconciler.round("shop")
    assert it.document() is not None
    it.delete("shop", "a")
    await it.reconciler.round("shop")
    clock.wall += BRIEFLY - 1
    await it.reconciler.round("shop")
    left = it.document()
    assert left is not None and [entry.retired for entry in left.configs] == [True]
    clock.wall += 1
    await it.reconciler.round("shop")
    assert it.document() is None


async def test_a_pod_that_is_seen_late_still_finds_what_has_retired(rig: MakeRig) -> None:
    clock = StoodClock()
    it = rig(clock)
    it.create(config("a"))
    await it.reconciler.round("shop")
    it.delete("shop", "a")
    await it.reconciler.round("shop")
    it.injected("shop")
    clock.wall += RETIRED_FOR - 1
    await it.reconciler.round("shop")
    assert it.document() is not None
    clock.wall += 1
    await it.reconciler.round("shop")
    assert it.document() is None


async def test_what_has_retired_goes_with_the_last_pod(rig: MakeRig) -> None:
    clock = StoodClock()
    it = rig(clock)
    it.injected("shop")
    it.create(config("a"))
    await it.reconciler.round("shop")
    it.delete("shop", "a")
    await it.reconciler.round("shop")
    assert it.document() is not None
    it.injected()
    clock.wall += BRIEFLY
    await it.reconciler.round("shop")
    assert it.document() is None


async def test_serves_many_namespaces(rig: MakeRig) -> None:
    it = rig(SystemClock())
    async with it.running():
        for number in range(12):
            it.create(config(namespace=f"ns{number}"))
        await until(lambda: all(it.document(f"ns{number}") for number in range(12)))
        await until(lambda: it.condition("Ready", "ns11") == ("True", "Published"))
        it.create(config(namespace="ns3", suspend=True))
        await until(lambda: it.condition("Ready", "ns3") == ("True", "Suspended"))
        it.delete("ns4", "agents")
        await until(lambda: (found := it.document("ns4")) and found.configs[0].retired)


async def test_a_namespace_that_fails_holds_no_other_up(rig: MakeRig) -> None:
    it = rig(SystemClock())
    for _ in range(2):
        it.api.fail("PATCH", "/namespaces/bad/secrets/tracekeeper-policy", 500, "etcd")
    async with it.running():
        it.create(config(namespace="bad"))
        it.create(config(namespace="good"))
        await until(lambda: it.document("good"))
        await until(lambda: it.document("bad"))
    assert it.metrics.reconciles.labels("error")._value.get() >= 2


async def test_resync_brings_rotated_secrets_and_missed_deletions(rig: MakeRig) -> None:
    it = rig(SystemClock(), resync=0.1)
    it.api.put("secrets", secret("tempo", token="old"))
    async with it.running():
        it.create(config(backends=[backend("a", "tempo")]))
        it.create(config("other", namespace="else"))
        await until(lambda: it.document() and it.document("else"))
        it.api.put("secrets", secret("tempo", token="new"))
        await until(lambda: (found := it.document()) and found.secrets == {"tempo": {"token": b"new"}})
        # Nobody tells of this deletion, as when a watch dies at the wrong moment.
        it.api.remove("tracingconfigs", "else", "other")
        await until(lambda: (found := it.document("else")) and found.configs[0].retired)


async def test_every_namespace_hears_where_the_control_stream_is(rig: MakeRig) -> None:
    found = rig()
    here = Control("tk-control.tk.svc:9444", "PEM")
    for number in range(3):
        found.create(config(namespace=f"ns-{number}"))
    async with found.running():
        await until(lambda: all(found.document(f"ns-{number}") for number in range(3)))
        found.control = lambda published: here
        found.reconciler.offer_all()
        await until(lambda: all(known(found, f"ns-{number}").control == here for number in range(3)))


async def test_until_it_is_known_again_what_was_published_of_it_stays(rig: MakeRig) -> None:
    """A controller that has just begun knows no certificate yet, and takes nothing back for that."""
    here = Control("tk-control.tk.svc:9444", "PEM")
    first = rig()
    first.control = lambda published: here
    first.create(config())
    await first.reconciler.round("shop")
    again = rig()
    again.control = lambda published: published
    again.create(config(suspend=True))
    await again.reconciler.round("shop")
    assert known(again).control == here and known(again).configs[0].spec["suspend"] is True


def known(rig: Rig, namespace: str = "shop") -> PolicyDocument:
    document = rig.document(namespace)
    assert document is not None
    return document


ADAPTIVE = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 50, "per": "Config"}}}


async def test_the_control_stream_knows_configs_as_sidecars_do(rig: MakeRig) -> None:
    found = rig()
    found.create(config("plain"))
    found.create(config("shared", sampling=ADAPTIVE))
    await found.reconciler.round("shop")
    assert found.index.find("uid-plain") == ConfigFacts("uid-plain", "shop", "plain", None)
    shared = found.index.find("uid-shared")
    assert shared is not None and shared.adaptive is not None
    assert (shared.adaptive.target_traces_per_second, shared.adaptive.per) == (50, "Config")
    # A fault takes nothing away from what goes on as it was published.
    found.create(config("shared", backends=[], sampling={"default": {"type": "Both"}}))
    found.create(config("never", backends="none"))
    await found.reconciler.round("shop")
    assert found.index.find("uid-shared") == shared
    assert found.index.find("uid-never") is None
    found.delete("shop", "shared")
    await found.reconciler.round("shop")
    assert found.index.find("uid-shared") is None and found.index.find("uid-plain") is not None
    found.delete("shop", "plain")
    found.delete("shop", "never")
    await found.reconciler.round("shop")
    assert found.index.find("uid-plain") is None


async def test_made_up_configs_take_no_memory(rig: MakeRig) -> None:
    """A sidecar says itself by which config it works."""
    found = rig()
    found.create(config("plain"))
    await found.reconciler.round("shop")
    assert found.index.find("uid-plain") is not None and len(found.index) == 1
    for number in range(100):
        assert found.index.find(f"made-up-{number}") is None
        assert found.index.find(f"made-up-{number}", "shop") is None
        assert found.index.find("uid-plain", f"elsewhere-{number}") is None, "nobody has lent it"
    assert len(found.index) == 1


async def test_a_deleted_policy_comes_back(rig: MakeRig) -> None:
    it = rig(SystemClock(), resync=0.1)
    async with it.running():
        it.create(config())
        await until(it.document)
        it.api.remove("secrets", "shop", "tracekeeper-policy")
        await until(it.document)


async def test_policies_belong_to_the_definition_that_is_there_now(rig: MakeRig) -> None:
    """One that is deleted and made anew has another UID: what belongs to the one before, Kubernetes deletes."""

    def define(uid: str, **more: str) -> None:
        name = "tracingconfigs.tracekeeper.dev"
        it.api.put("customresourcedefinitions", {"metadata": {"name": name, "uid": uid, **more}})

    def owner() -> str | None:
        found = it.api.objects.get(("secrets", "shop", "tracekeeper-policy"))
        return found["metadata"]["ownerReferences"][0]["uid"] if found is not None else None

    clock = StoodClock()
    it = rig(clock)
    async with it.running():
        define("first")
        it.create(config())
        await until(lambda: owner() == "first")
        define("first", deletionTimestamp="2027-01-15T08:00:00Z")
        it.delete("shop", "agents")
        await until(lambda: (found := it.document()) and found.configs[0].retired)
        clock.wall += BRIEFLY
        it.reconciler.offer("shop")
        await until(lambda: owner() is None)
        define("second")
        it.create(config())
        await until(lambda: owner() == "second")


async def test_a_definition_that_changed_unseen_is_noticed_by_the_next_list(rig: MakeRig) -> None:
    it = rig(SystemClock(), resync=0.1)
    definition = {"metadata": {"name": "tracingconfigs.tracekeeper.dev", "uid": "first"}}
    it.api.put("customresourcedefinitions", definition)
    async with it.running():
        it.create(config())
        await until(it.document)
        it.api.put("customresourcedefinitions", {"metadata": {**definition["metadata"], "uid": "second"}})
        it.api.remove("secrets", "shop", "tracekeeper-policy")
        secret = ("secrets", "shop", "tracekeeper-policy")
        await until(
            lambda: (found := it.api.objects.get(secret)) and found["metadata"]["ownerReferences"][0]["uid"] == "second"
        )


async def test_what_a_controller_of_before_wrote_at_its_end_does_not_stay(rig: MakeRig) -> None:
    """One that knows no Lease goes on for a while beside its successor, which has read everything already."""
    clock = StoodClock()
    it = rig(clock)
    async with it.running():
        it.create(config())
        await until(lambda: it.condition("Ready") == ("True", "Published"))
        published = known(it)
        it.api.put("secrets", {**secret("tracekeeper-policy"), "data": {}})
        clock.mono += SETTLED[1]
        it.create(config(namespace="other"))
        await until(lambda: (found := it.api.get("secrets", "shop", "tracekeeper-policy")["data"]) and found)
    assert known(it).configs == published.configs


async def test_a_fault_of_ours_in_one_namespace_is_survived(rig: MakeRig) -> None:
    it = rig(SystemClock())
    async with it.running():
        broken = config(namespace="odd")
        # The API server never sends this: it stands for whatever nobody thought of.
        it.store._objects["odd"] = {"agents": {**broken, "metadata": "no metadata"}}
        it.reconciler.offer("odd")
        it.create(config(namespace="good"))
        await until(lambda: it.document("good"))
        await until(lambda: it.metrics.reconciles.labels("error")._value.get() >= 1)
