"""Rollouts in the controller's rounds: pods as they are watched, sidecars over the control stream, statuses, Events."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest

from control_api import Api, serve
from control_objects import StoodClock, backend, config, secret
from control_world import LIMITS, SidecarClient, World, serving
from tracekeeper_operator.access import Access
from tracekeeper_operator.book import Book
from tracekeeper_operator.canaries import Canaries
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.index import ConfigIndex
from tracekeeper_operator.crashes import last_crash
from tracekeeper_operator.events import Notice
from tracekeeper_operator.handlers import take
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.plan import Plan
from tracekeeper_operator.pods.index import PodIndex
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.rollout_telling import RolloutTeller
from tracekeeper_operator.store import Store
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry
from waiting import until

UID = "uid-agents"
ROLLOUT = {"canaryPercent": 1, "observeFor": "5m"}
ADAPTIVE = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 7}}}
PODS = ("one", "two", "three")


def pod(name: str, **status: Any) -> dict[str, Any]:
    """An injected one; a sidecar's identity has the same UID."""
    meta = {"name": name, "namespace": "shop", "uid": f"uid-shop-{name}", "labels": {"app": "care"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": meta, "status": status}


def ended(exit_code: int, at: str, reason: str = "OOMKilled") -> dict[str, Any]:
    """Status of a pod whose sidecar was started again."""
    end = {"exitCode": exit_code, "reason": reason, "finishedAt": at}
    return {"initContainerStatuses": [{"name": "tracekeeper-sidecar", "lastState": {"terminated": end}}]}


class Rig:
    """A controller's parts that rollouts need, and the servers that they work with."""

    def __init__(self, api: Api, kube: Kube, world: World) -> None:
        self.api, self.kube, self.world = api, kube, world
        self.clock = StoodClock(mono=world.clock.monotonic())
        self.skipped = 0.0
        self.pods = PodIndex()
        self.notices: list[Notice] = []
        self.begin()

    def begin(self) -> None:
        """A controller that knows nothing yet."""
        self.store, namespaces = Store(), Namespaces()
        namespaces.replace([])
        book = Book(self.store, namespaces)
        self.index = ConfigIndex(book)
        self.metrics = ControllerMetrics()
        self.teller = RolloutTeller(
            self.store, self.clock, lambda namespace: None, self.notices.append, self.metrics.rollouts
        )
        self.reconciler = Reconciler(
            self.kube,
            self.store,
            self.clock,
            self.metrics,
            book=book,
            demand=self.pods,
            canaries=Canaries(self.kube, self.pods, self.world.server, self.clock),
            on_planned=self.planned,
            sources=[self.teller],
        )

    def planned(self, plan: Plan) -> None:
        self.teller.planned(plan)
        self.index.take(plan)

    def create(self, manifest: dict[str, Any]) -> None:
        known = self.api.objects.get(("tracingconfigs", "shop", "agents"))
        manifest = {**manifest, **({"status": known["status"]} if known and "status" in known else {})}
        take({"type": "ADDED", "object": self.api.put("tracingconfigs", manifest)}, self.store, self.reconciler)

    async def round(self, later: float = 0.0) -> PolicyEntry:
        """The entry that is published then."""
        self.clock.wall += later
        self.skipped += later
        self.clock.mono = self.world.clock.monotonic() + self.skipped
        await self.reconciler.round("shop")
        found = self.api.objects["secrets", "shop", "tracekeeper-policy"]
        return PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"])).configs[0]

    def secrets(self) -> dict[str, Any]:
        found = self.api.objects["secrets", "shop", "tracekeeper-policy"]
        return dict(PolicyDocument.from_json(base64.b64decode(found["data"]["policy.json"])).secrets)

    @property
    def status(self) -> dict[str, Any]:
        return dict(self.api.get("tracingconfigs", "shop", "agents")["status"])

    def condition(self, kind: str) -> tuple[str, str]:
        found = next(each for each in self.status["conditions"] if each["type"] == kind)
        return found["status"], found["reason"]

    def counted(self) -> list[float | None]:
        """Configs by phase: progressing, halted, complete."""
        return [
            self.metrics.registry.get_sample_value("tracekeeper_controller_rollouts", {"phase": phase})
            for phase in ("Progressing", "Halted", "Complete")
        ]

    def events(self) -> list[tuple[str, bool]]:
        return [(notice.reason, notice.warning) for notice in self.notices]

    @asynccontextmanager
    async def attached(self) -> AsyncIterator[dict[str, SidecarClient]]:
        """Pods that are there, with a sidecar each."""
        self.pods.replace([self.api.put("pods", pod(name)) for name in PODS])
        async with AsyncExitStack() as stack:
            clients: dict[str, SidecarClient] = {}
            for name in PODS:
                channel = await stack.enter_async_context(self.world.channel())
                client = clients[f"uid-shop-{name}"] = SidecarClient(channel, f"shop/{name}")
                stack.callback(client.call.cancel)
                await client.say(hello=pb.Hello(version="1", config_uid=UID, tries_candidates=True))
                await client.read("welcome")
            yield clients

    async def says(self, client: SidecarClient, uid: str, digest: str, **more: Any) -> None:
        standing = pb.Standing(policy_revision=1, policy_digest=digest, **more)
        await client.say(standing=standing)
        attached = self.world.server.pods()[uid]
        await until(lambda: attached.standing is not None and attached.standing == standing, "it is heard")


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    world = World()
    world.configs[UID] = ConfigFacts(UID, "shop", "agents", LIMITS)
    async with serve() as api, Kube(Access(api.url), timeout=2.0) as kube, serving(world):
        yield Rig(api, kube, world)


def taker(entry: PolicyEntry, clients: dict[str, SidecarClient]) -> str:
    """The UID of the one pod that tries something."""
    new = entry.candidate
    assert new is not None
    (uid,) = (uid for uid in clients if new.takes(uid))
    return uid


async def test_a_backend_that_canaries_do_not_reach_is_taken_back_and_undone(rig: Rig) -> None:
    async with rig.attached() as clients:
        rig.create(config(rollout=ROLLOUT))
        assert (await rig.round()).candidate is None
        assert rig.condition("RolledOut") == ("True", "RolloutComplete") and rig.notices == []
        rig.create(config(generation=2, rollout=ROLLOUT, backends=[backend("a"), backend("b")]))
        trying = await rig.round()
        assert trying.generation == 1 and [each["name"] for each in trying.spec["backends"]] == ["a"]
        assert rig.condition("RolledOut") == ("Unknown", "RolloutProgressing")
        assert rig.condition("Ready") == ("True", "Published")
        told = rig.status["rollout"]
        assert (told["phase"], told["canaries"], told["ready"], told["effective"]) == ("Progressing", 1, 0, 1)
        assert rig.status["policy"]["current"] != rig.status["policy"]["lastGood"]

        uid = taker(trying, clients)
        assert trying.candidate is not None
        refused = pb.BackendStanding(name="b", circuit="Open", fault="backend 'b': connection refused")
        await rig.says(clients[uid], uid, trying.candidate.digest, backends=[refused])
        halted = await rig.round(10)
        assert halted.candidate is None and halted.halted is not None and halted.spec == trying.spec
        assert rig.condition("RolledOut") == ("False", "RolloutHalted") == rig.condition("Ready")
        told = rig.status["rollout"]
        assert (told["phase"], told["reason"]) == ("Halted", "DeliveryFailure") and "connection refused" in told[
            "message"
        ]
        assert told["previous"] == {"generation": 1, "spec": config(rollout=ROLLOUT)["spec"]}
        assert rig.status["policy"]["current"] != rig.status["policy"]["lastGood"]
        assert rig.events() == [("RolloutStarted", False), ("RolloutHalted", True)] and rig.counted() == [0, 1, 0]

        rig.begin()
        rig.create(config(generation=2, rollout=ROLLOUT, backends=[backend("a"), backend("b")]))
        assert await rig.round(3600) == halted, "another controller does not try it again"
        assert len(rig.notices) == 2, "nor tells of it again"
        rig.create(config(generation=3, **told["previous"]["spec"]))
        undone = await rig.round(10)
        assert (undone.generation, undone.halted) == (3, None)
        assert rig.condition("RolledOut") == ("True", "RolloutComplete") and "previous" not in rig.status["rollout"]


async def test_what_does_well_comes_to_all(rig: Rig) -> None:
    async with rig.attached() as clients:
        rig.create(config(rollout=ROLLOUT, sampling=ADAPTIVE))
        await rig.round()
        other = {"default": {"type": "Adaptive", "adaptive": {"targetTracesPerSecond": 900}}}
        rig.create(config(generation=2, rollout=ROLLOUT, sampling=other))
        trying = await rig.round()
        facts = rig.index.find(UID, "shop")
        assert facts is not None and facts.adaptive is not None and facts.adaptive.target_traces_per_second == 7
        uid = taker(trying, clients)
        assert trying.candidate is not None
        await rig.says(clients[uid], uid, trying.candidate.digest)
        assert (await rig.round(10)).candidate is not None and rig.status["rollout"]["ready"] == 1
        rig.begin()
        rig.create(config(generation=2, rollout=ROLLOUT, sampling=other))
        assert (await rig.round(299)).candidate is not None
        done = await rig.round(1)
        assert (done.candidate, done.generation) == (None, 2)
        told = rig.status["rollout"]
        assert (told["phase"], told["reason"], told["previous"]["generation"]) == ("Complete", "Observed", 1)
        assert rig.condition("RolledOut") == ("True", "RolloutComplete")
        assert rig.events() == [("RolloutStarted", False), ("RolloutComplete", False)]
        facts = rig.index.find(UID, "shop")
        assert facts is not None and facts.adaptive is not None and facts.adaptive.target_traces_per_second == 900
        await rig.round(3600)
        assert rig.status["rollout"] == told, "what to go back to is remembered"
        rig.create(config(generation=3, sampling=other))
        assert rig.counted() == [0, 0, 1]
        await rig.round()
        assert "rollout" not in rig.status and rig.counted() == [0, 0, 0]


async def test_a_sidecar_that_crashes_takes_it_back(rig: Rig) -> None:
    async with rig.attached() as clients:
        rig.create(config(rollout=ROLLOUT))
        await rig.round()
        rig.create(config(generation=2, rollout=ROLLOUT, logLevel="Debug"))
        trying = await rig.round()
        uid = taker(trying, clients)
        assert trying.candidate is not None
        await rig.says(clients[uid], uid, trying.candidate.digest)
        name = uid.removeprefix("uid-shop-")
        rig.api.put("pods", pod(name, **ended(137, "2027-01-15T08:00:05Z")))
        running = (await rig.round(10)).candidate
        assert running is not None and running.observed, "that was before it ran"
        rig.api.put("pods", pod(name, **ended(137, "2027-01-15T08:00:15Z")))
        assert (await rig.round(1)).candidate is not None, "pods are not read at each word of a sidecar"
        halted = (await rig.round(9)).halted
        assert halted is not None and halted.reason == "SidecarCrash"
        assert "OOMKilled, exit code 137" in halted.message and name in halted.message


async def test_an_outage_of_what_has_not_changed_is_no_reason(rig: Rig) -> None:
    async with rig.attached() as clients:
        rig.create(config(rollout=ROLLOUT))
        await rig.round()
        rig.create(config(generation=2, rollout=ROLLOUT, logLevel="Debug"))
        trying = await rig.round()
        uid, other = taker(trying, clients), next(each for each in clients if each != taker(trying, clients))
        assert trying.candidate is not None
        digest = trying.candidate.digest
        refused = pb.BackendStanding(name="a", circuit="Open", fault="backend 'a': connection refused")
        await rig.says(clients[uid], uid, digest, backends=[refused])
        await rig.says(clients[other], other, "", delivery=[pb.EntryStanding(name="a", delivered=7)])
        assert (await rig.round(10)).candidate is not None
        assert (await rig.round(40)).candidate is not None, "the others send nothing"
        await rig.says(clients[other], other, "", delivery=[pb.EntryStanding(name="a", delivered=8)])
        assert (await rig.round(10)).candidate is not None, "that may have been before"
        await rig.says(clients[other], other, "", delivery=[pb.EntryStanding(name="a", delivered=9)])
        halted = (await rig.round(10)).halted
        assert halted is not None and halted.reason == "DeliveryFailure", "it takes what others send"


async def test_what_was_refused_before_is_remembered_by_whoever_leads(rig: Rig) -> None:
    async with rig.attached() as clients:
        rig.create(config(rollout=ROLLOUT))
        await rig.round()
        for uid, client in clients.items():
            await rig.says(client, uid, "", policy_problem="spec.x: no such field")
        rig.create(config(generation=2, rollout=ROLLOUT, logLevel="Debug"))
        trying = await rig.round()
        assert trying.candidate is not None and trying.candidate.refused
        rig.begin()
        rig.create(config(generation=2, rollout=ROLLOUT, logLevel="Debug"))
        assert (await rig.round(100)).candidate is not None, "it may not have come to them yet"
        halted = (await rig.round(100)).halted
        assert halted is not None and halted.reason == "PolicyRefused" and "no such field" in halted.message


async def test_both_versions_have_their_credentials_and_a_rotated_one_comes_to_all(rig: Rig) -> None:
    async with rig.attached():
        rig.api.put("secrets", secret("old", token="1"))
        rig.api.put("secrets", secret("new", token="2"))
        rig.create(config(rollout=ROLLOUT, backends=[backend("a", "old")]))
        await rig.round()
        rig.create(config(generation=2, rollout=ROLLOUT, backends=[backend("a", "new")]))
        assert (await rig.round()).candidate is not None
        assert rig.secrets() == {"old": {"token": b"1"}, "new": {"token": b"2"}}
        rig.api.put("secrets", secret("old", token="3"))
        await rig.round(10)
        assert rig.secrets()["old"] == {"token": b"3"}
        rig.api.remove("secrets", "shop", "old")
        await rig.round(10)
        assert rig.secrets() == {"new": {"token": b"2"}}, "what is taken away is gone for all"


async def test_without_pods_it_comes_at_once_and_says_so(rig: Rig) -> None:
    rig.pods.replace([])
    rig.create(config(rollout=ROLLOUT))
    await rig.round()
    rig.create(config(generation=2, rollout=ROLLOUT, logLevel="Debug"))
    assert (await rig.round()).generation == 2
    assert rig.status["rollout"]["reason"] == "NoPods" and rig.status["rollout"]["previous"]["generation"] == 1


@pytest.mark.parametrize(
    ("found", "at"),
    [
        (ended(0, "2027-01-15T08:00:03Z"), None),
        (ended(1, "soon"), None),
        (ended(255, "2027-01-15T08:00:03Z", "Unknown"), None),
        (ended(1, "1970-01-01T00:00:05Z"), 5.0),
        ({"containerStatuses": [{"name": "app", "state": {"terminated": {"exitCode": 1}}}]}, None),
        ({"initContainerStatuses": 7}, None),
        ({}, None),
    ],
)
def test_only_the_sidecars_own_faults_count(found: dict[str, Any], at: float | None) -> None:
    crash = last_crash(pod("one", **found))
    assert (crash.at if crash is not None else None) == at
