"""Defaults of the root namespace, configs that are lent, and what becomes of their credentials."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, backend, config, pod, secret
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.control.index import ConfigIndex
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import UNUSED_FOR, Reconciler
from tracekeeper_operator.retire import RETIRED_FOR
from tracekeeper_operator.store import Store
from tracekeeper_operator.validate import validate
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from tracekeeper_spec.scope import Scope
from waiting import until

Object = dict[str, Any]
ROOT = "observability"
INJECT = "tracekeeper.dev/inject"
OPEN = {"from": "All"}


class Rig:
    """A reconciler, its API server, and the pods that it knows of."""

    def __init__(self, api: Api, kube: Kube) -> None:
        self.api, self.clock = api, StoodClock()
        self.store, self.namespaces, self.pods = Store(), Namespaces(), PodIndex()
        self.pods.replace([])
        self.book = Book(self.store, self.namespaces, ROOT)
        self.index = ConfigIndex(self.book)
        self.reconciler = self.another(kube)
        self.pods.subscribe(lambda namespace: self.reconciler.offer(namespace))

    def another(self, kube: Kube) -> Reconciler:
        return Reconciler(kube, self.store, self.clock, ControllerMetrics(), book=self.book, demand=self.pods)

    def write(self, name: str, namespace: str, generation: int = 1, **spec: Any) -> None:
        manifest = config(name, namespace, generation=generation, **spec)
        manifest["metadata"]["uid"] = f"uid-{namespace}-{name}"
        manifest["spec"] = {key: value for key, value in manifest["spec"].items() if value is not None}
        take({"type": "ADDED", "object": self.api.put("tracingconfigs", manifest)}, self.store, self.reconciler)

    def delete(self, name: str, namespace: str) -> None:
        gone = self.api.get("tracingconfigs", namespace, name)
        self.api.remove("tracingconfigs", namespace, name)
        take({"type": "DELETED", "object": gone}, self.store, self.reconciler)

    def run(self, namespace: str, name: str = "app", inject: str = "true") -> None:
        """There is an injected pod."""
        found = pod(inject=inject)
        found["metadata"] |= {"namespace": namespace, "name": name, "uid": f"uid-{name}"}
        self.pods.put(found)

    async def document(self, namespace: str = "shop") -> PolicyDocument | None:
        """After a round."""
        await self.reconciler.round(namespace)
        found = self.api.objects.get(("secrets", namespace, "tracekeeper-policy"))
        return PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"])) if found else None

    async def values(self, namespace: str = "shop") -> set[bytes]:
        """The values of Secrets that a namespace has after a round."""
        document = await self.document(namespace)
        return {value for keys in document.secrets.values() for value in keys.values()} if document else set()


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    api = Api()
    for namespace in (ROOT, "care", "shop"):
        api.put("secrets", secret("tempo", namespace, token=f"of-{namespace}"))
    async with serve(api), Kube(Access(server=api.url)) as kube:
        yield Rig(api, kube)


TEMPO = [backend("a", "tempo")]


def picked(document: PolicyDocument | None, inject: str = "true", **labels: str) -> PolicyEntry:
    assert document is not None
    entry = document.pick(labels, {INJECT: inject})
    assert entry is not None
    return entry


async def test_a_default_reaches_namespaces_with_pods_and_brings_its_own_credentials(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
    assert await rig.document() is None, "no pod, no policy: credentials lie nowhere without need"
    rig.run("shop")
    entry = picked(await rig.document())
    assert entry.sources == (f"{ROOT}/default@1",) and await rig.values() == {b"of-observability"}
    # A namespace's own section comes instead of the default's, with the namespace's own credentials.
    rig.write("own", "shop", backends=TEMPO)
    entry = picked(await rig.document())
    assert entry.sources == ("shop/own@1", f"{ROOT}/default@1") and await rig.values() == {b"of-shop"}


async def test_nothing_is_lent_without_consent(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO)
    rig.write("lent", "care", backends=TEMPO)
    rig.run("shop")
    rig.run("shop", "namer", "care/lent")
    assert await rig.document() is None
    some = {"from": "Selector", "selector": {"matchLabels": {"team": "shop"}}}
    rig.write("default", ROOT, 2, backends=TEMPO, allowedNamespaces=some)
    assert await rig.document() is None, "labels that nobody knows satisfy no selector"
    rig.namespaces.put({"metadata": {"name": "shop", "labels": {"team": "other"}}})
    assert await rig.document() is None
    rig.namespaces.put({"metadata": {"name": "shop", "labels": {"team": "shop"}}})
    assert await rig.values() == {b"of-observability"}
    assert rig.index.find("uid-care-lent", "shop") is None
    assert rig.index.find("uid-observability-default", "shop") is not None


async def test_a_name_leads_to_a_config_of_another_namespace_only_for_pods_that_say_it(rig: Rig) -> None:
    rig.write("lent", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.write("own", "shop", logLevel="Debug", backends=TEMPO)
    rig.run("shop")
    assert await rig.values() == {b"of-shop"}, "nobody names it"
    rig.run("shop", "namer", "care/lent")
    document = await rig.document()
    assert picked(document).sources == ("shop/own@1",)
    lent = picked(document, "care/lent")
    assert lent.sources == ("care/lent@1", "shop/own@1") and lent.spec["logLevel"] == "Debug"
    assert await rig.values() == {b"of-shop", b"of-care"}
    rig.pods.remove({"metadata": {"namespace": "shop", "name": "namer", "uid": "uid-namer"}})
    rig.clock.mono += UNUSED_FOR + 1
    assert await rig.values() == {b"of-shop"}


async def test_a_config_that_no_pod_names_any_more_stays_for_a_while(rig: Rig) -> None:
    rig.write("lent", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.write("other", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.run("shop", "job", "care/lent")
    rig.run("shop", "gone", "care/other")
    await rig.document()
    for name in ("job", "gone"):
        rig.pods.remove({"metadata": {"namespace": "shop", "name": name, "uid": f"uid-{name}"}})
    rig.clock.mono += UNUSED_FOR - 1
    document = await rig.document()
    assert picked(document, "care/lent").retired is False and await rig.values() == {b"of-care"}
    # A restart counts it from anew, and nobody asks for less than that.
    rig.reconciler = rig.another(rig.reconciler._kube)
    assert await rig.document() == document
    rig.clock.mono += UNUSED_FOR - 1
    rig.run("shop", "job", "care/lent")
    assert await rig.document() == document, "the pods of a CronJob come back"
    rig.pods.remove({"metadata": {"namespace": "shop", "name": "job", "uid": "uid-job"}})
    # A change of it arrives meanwhile, and so does the end of consent.
    rig.write("lent", "care", 2, backends=TEMPO, logLevel="Debug", allowedNamespaces=OPEN)
    assert picked(await rig.document(), "care/lent").generation == 2
    rig.clock.mono += 2
    document = await rig.document()
    assert document is not None and [entry.name for entry in document.named] == ["lent"]
    rig.write("lent", "care", 3, backends=TEMPO)
    assert await rig.values() == set()
    rig.clock.mono += UNUSED_FOR
    rig.clock.wall += RETIRED_FOR
    assert await rig.document() is None


async def test_taking_consent_back_takes_the_credentials_back(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
    rig.write("lent", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.write("own", "shop", backends=None, selector={"matchLabels": {"app": "own"}})
    rig.run("shop", "namer", "care/lent")
    assert await rig.values() == {b"of-observability", b"of-care"}
    rig.write("default", ROOT, 2, backends=TEMPO)
    assert await rig.values() == {b"of-care"}
    rig.write("lent", "care", 2, backends=TEMPO)
    document = await rig.document()
    assert await rig.values() == set()
    # Their sidecars store nothing new, and have nothing to send it with.
    assert picked(document).retired and picked(document, "care/lent").retired
    assert [entry.retired for entry in document.configs if entry.name == "own"] == [False] if document else False


async def test_what_is_deleted_drains_with_its_credentials_and_then_all_is_gone(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
    rig.run("shop")
    await rig.document()
    rig.delete("default", ROOT)
    entry = picked(await rig.document())
    assert entry.retired and await rig.values() == {b"of-observability"}
    rig.clock.wall += RETIRED_FOR
    assert await rig.document() is None


async def test_a_namespace_that_lost_its_pods_keeps_its_policy_for_a_while(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
    rig.run("shop")
    await rig.document()
    rig.pods.remove({"metadata": {"namespace": "shop", "name": "app", "uid": "uid-app"}})
    rig.clock.mono += UNUSED_FOR - 1
    assert await rig.document() is not None, "the pods of a CronJob come back"
    rig.reconciler = rig.another(rig.reconciler._kube)
    assert await rig.document() is not None, "also after a restart, which knows nothing of them"
    rig.clock.mono += UNUSED_FOR - 1
    assert await rig.document() is not None
    rig.clock.mono += 2
    assert await rig.document() is None


async def test_what_is_enforced_stays_and_the_suspension_too(rig: Rig) -> None:
    spec: Object = {"backends": TEMPO, "logLevel": "Error", "enforced": ["Backends"], "allowedNamespaces": OPEN}
    rig.write("default", ROOT, **spec)
    rig.write("own", "shop", backends=[backend("mine", "tempo")], logLevel="Debug", suspend=True)
    entry = picked(await rig.document())
    assert [item["name"] for item in entry.spec["backends"]] == ["a"] and entry.spec["logLevel"] == "Debug"
    assert entry.spec["suspend"] is True and await rig.values() == {b"of-observability"}
    rig.write("own", "shop", 2, backends=None)
    rig.write("default", ROOT, 2, **spec, suspend=True)
    assert picked(await rig.document()).spec["suspend"] is True


async def test_a_default_with_faults_takes_nothing_down_even_after_a_restart(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, logLevel="Error", allowedNamespaces=OPEN, enforced=["LogLevel"])
    rig.write("own", "shop", backends=TEMPO)
    before = picked(await rig.document())
    await rig.document(ROOT)
    rig.write("default", ROOT, 2, backends="no list")
    assert picked(await rig.document()) == before
    # Another controller knows only what was published.
    rig.book = Book(rig.store, rig.namespaces, ROOT)
    rig.reconciler = rig.another(rig.reconciler._kube)
    assert picked(await rig.document()) == before


@pytest.mark.parametrize("labels", [{}, {"app.kubernetes.io/managed-by": "tracekeeper"}])
async def test_a_policy_that_a_tenant_wrote_himself_leads_to_no_secret_of_others(rig: Rig, labels: Object) -> None:
    """Whoever may write Secrets in a namespace may write its policy; of a config with faults, that says what it was."""
    rig.write("mine", "shop", 2, nonsense=1)
    rig.run("shop")
    old = "2000-01-01T00:00:00Z"
    stolen = PolicyEntry(
        "default", "care", "uid-shop-mine", 1, old, {"backends": TEMPO}, about={"allowedNamespaces": OPEN}
    )
    forge(rig, PolicyDocument(5, (stolen,), namespace="shop"), labels)
    assert await rig.values() == set()
    assert rig.book.find("uid-shop-mine") is None, "and there is no config of theirs that nobody wrote"
    # Under its own namespace he may say what he likes, except who it is.
    mine = PolicyEntry("default", "shop", "uid-shop-mine", 1, old, {"backends": TEMPO})
    forge(rig, PolicyDocument(5, (mine,), namespace="shop"), labels)
    assert await rig.values() == {b"of-shop"}
    found = rig.book.find("uid-shop-mine")
    assert found is not None and (found.name, found.created) == ("mine", "2026-01-01T00:00:00Z")


def forge(rig: Rig, document: PolicyDocument, labels: Object) -> None:
    data = {"policy.json": base64.b64encode(document.to_json().encode()).decode()}
    meta = {"name": "tracekeeper-policy", "namespace": "shop", "labels": labels}
    rig.api.put("secrets", {"metadata": meta, "data": data})


async def test_before_pods_are_known_nothing_is_taken_back(rig: Rig) -> None:
    rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
    rig.write("lent", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.run("shop", "namer", "care/lent")
    before = await rig.document()
    rig.pods = PodIndex()
    rig.reconciler = rig.another(rig.reconciler._kube)
    assert await rig.document() == before


async def test_a_change_of_the_default_is_offered_to_all_who_may_have_it(rig: Rig) -> None:
    """With pods, with a config of their own, or with the label that opts in all pods to come."""
    rig.namespaces.replace([{"metadata": {"name": "new", "labels": {INJECT: "true"}}}])
    rig.run("shop")
    rig.write("own", "care", logLevel="Debug", backends=None)
    task = asyncio.create_task(rig.reconciler.run())
    try:
        await until(lambda: ("secrets", "care", "tracekeeper-policy") in rig.api.objects, "rounds are made")
        rig.write("default", ROOT, backends=TEMPO, allowedNamespaces=OPEN)
        wanted = {("secrets", name, "tracekeeper-policy") for name in ("shop", "care", "new")}
        await until(lambda: wanted <= rig.api.objects.keys(), "all of them have the default")
        before = {key: rig.api.objects[key]["data"] for key in wanted}
        rig.write("default", ROOT, 2, backends=TEMPO, buffer={"whenFull": "DropOldest"}, allowedNamespaces=OPEN)
        await until(lambda: all(rig.api.objects[key]["data"] != before[key] for key in wanted), "all have the change")
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_change_of_a_config_is_offered_to_those_whose_pods_named_it_just_now(rig: Rig) -> None:
    rig.namespaces.replace([])
    rig.write("lent", "care", backends=TEMPO, allowedNamespaces=OPEN)
    rig.run("shop", "job", "care/lent")
    before = await rig.document()
    rig.pods.remove({"metadata": {"namespace": "shop", "name": "job", "uid": "uid-job"}})
    assert await rig.document() == before
    rig.reconciler._due.clear()
    rig.write("lent", "care", 2, backends=TEMPO)
    assert set(rig.reconciler._due) == {"care", "shop"}


def warned(name: str, namespace: str, others: list[dict[str, Any]], **spec: Any) -> str:
    """What the API server's client prints when the config is written."""
    parsed = [found for other in others if (found := parse_manifest(other)[0]) is not None]
    here = Scope(namespace, {}, lambda wanted: [item for item in parsed if item.namespace == wanted], ROOT)
    verdict = validate(config(name, namespace, **spec), None, here)
    assert verdict.allowed
    return "\n".join(verdict.warnings)


def test_what_has_no_effect_is_said_when_it_is_written() -> None:
    default = config("default", ROOT, allowedNamespaces=OPEN, enforced=["Backends"])
    assert "spec.enforced: has no effect in namespace shop" in warned("own", "shop", [], enforced=["Backends"])
    selected: Object = {"selector": {"matchLabels": {"app": "x"}}, "enforced": ["Backends"]}
    assert "spec.enforced: has no effect together with a selector" in warned("own", ROOT, [], **selected)
    assert "spec.sampling is not written" in warned("own", ROOT, [], enforced=["Sampling"])
    assert "spec.backends: has no effect, because observability/default" in warned("own", "shop", [default])
    assert "has no effect" not in warned("default", ROOT, [default], enforced=["Backends"], allowedNamespaces=OPEN)


def test_lending_credentials_is_said_when_it_is_written() -> None:
    text = warned("default", ROOT, [], backends=TEMPO, allowedNamespaces=OPEN)
    assert "hands the values that it needs of Secret tempo over to every namespace that uses this config" in text
    assert "hands" not in warned("default", ROOT, [], backends=TEMPO)


def test_a_config_is_judged_with_what_it_stands_over() -> None:
    default = config("default", ROOT, allowedNamespaces=OPEN)
    own = config("own", "shop")
    del own["spec"]["backends"]
    parsed, _ = parse_manifest(default)
    assert parsed is not None
    here = Scope("shop", {}, lambda wanted: [parsed] if wanted == ROOT else [], ROOT)
    assert not [text for text in validate(own, None, here).warnings if "is required" in text]
    alone = Scope("shop", {}, lambda wanted: [], ROOT)
    assert [text for text in validate(own, None, alone).warnings if "is required" in text]
