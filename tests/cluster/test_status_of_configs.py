"""The status of a TracingConfig tells the truth about its sidecars: whether they deliver, and what they count."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from cluster.node import Cluster
from cluster.wait import wait_for
from cluster.workload import Workload, otlp

pytestmark = pytest.mark.cluster

BACK = 120.0
"""Seconds: a controller says nothing of sidecars for a minute after its start, and looks every 15 s then."""


@pytest.fixture
def user(cluster: Cluster, tracekeeper: str, demo_image: str, namespace: str) -> Workload:
    """A namespace to work in, on a cluster where the chart is installed."""
    assert tracekeeper
    return Workload(cluster, namespace, demo_image)


def status(user: Workload) -> dict[str, Any]:
    found: dict[str, Any] = user.cluster.get("tracingconfigs.tracekeeper.dev", "agents", namespace=user.namespace)
    return dict(found.get("status", {}))


def ledger(user: Workload) -> dict[str, Any]:
    """The status's ledger, after checking that it closes."""
    found: dict[str, Any] = dict(status(user).get("ledger", {}))
    if found:
        others = found["refused"] + found["filtered"] + found["suspended"]
        assert found["received"] == found["acknowledged"] + others, found
        for entry in found["delivery"]:
            counts = [count for key, count in entry.items() if key != "name"]
            assert sum(counts) == found["acknowledged"], found
    return found


@pytest.mark.timeout(300, func_only=True)
def test_the_status_tells_whether_spans_are_delivered_and_what_became_of_all_of_them(user: Workload) -> None:
    user.backends("backend-a")
    user.configured(otlp("backend-a"))
    user.agent(runs=20, rate=20)
    assert user.condition("Delivering", "True", deadline=BACK)["reason"] == "Delivering"
    assert status(user)["backends"][0]["circuit"] == "Closed"
    user.settled()

    user.fail("backend-a", "unavailable")
    user.agent(runs=20, rate=20, name="later")
    away = user.condition("Delivering", "False", deadline=60)
    assert away["reason"] == "BackendUnavailable"
    assert away["message"].startswith("1 of 2 sidecars: spans of delivery backend-a wait on disk: backend 'backend-a'")
    backend = status(user)["backends"][0]
    assert backend["circuit"] in ("Open", "HalfOpen") and backend["sidecars"] == 1 and backend["message"]
    first = ledger(user)
    assert first["sidecars"] == 2 and first["delivery"][0]["pending"] > 0
    told = user.cluster.run([sys.executable, "-m", "tracekeeper_cli", "status", "-n", user.namespace]).stdout
    assert "Delivering: 1 of 2 sidecars: spans of delivery backend-a wait on disk" in told
    assert "LAST FAULT" in told and "UNSENT" in told
    shown = user.cluster.kubectl("get", "tcfg", "-n", user.namespace).splitlines()
    row = dict(zip(shown[0].split(), shown[1].split(), strict=False))
    assert (row["NAME"], row["READY"], row["DELIVERING"]) == ("agents", "True", "False"), shown

    user.fail("backend-a", "ok")
    user.condition("Delivering", "True", deadline=60)
    user.settled("later-0")
    for pod in ("agent-0", "later-0"):
        user.delete(pod)

    def gone() -> dict[str, Any] | None:
        found = ledger(user)
        return found if found.get("away") == 2 else None

    last = wait_for(gone, 60, lambda: f"both are counted as gone: {status(user)}")
    entry = last["delivery"][0]
    print(
        f"{last['received']} received, {entry['delivered']} delivered, {entry['unsent']} unsent by pods that are gone"
    )
    assert (last["sidecars"], last["since"]) == (2, first["since"])
    assert last["received"] == entry["delivered"] == user.backend("backend-a")["distinct"] == 160
    assert (entry["pending"], entry["unsent"], entry["dropped"]) == (0, 0, 0)
    assert user.condition("Delivering", "Unknown")["reason"] == "NoSidecars"
