"""How much of a tenant's Secrets is read, and what is kept of them."""

from __future__ import annotations

from control_api import serve
from control_objects import StoodClock, backend, config, secret
from tracekeeper_operator.access import Access
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import ControllerMetrics
from tracekeeper_operator.reconcile import Reconciler
from tracekeeper_operator.secret_read import MOST, SecretRead, read_secret
from tracekeeper_operator.store import Store

LARGE = 400_000


def test_of_a_secret_only_what_is_referred_to_is_kept() -> None:
    found = read_secret(secret("tempo", token="t0ken", other="never"), {"token", "absent"})
    assert found.data == {"token": b"t0ken"} and found.size == 5


def test_what_statuses_are_told_from_has_no_values() -> None:
    found = SecretRead({"token": b"t0ken"}).without_values()
    assert found.data == {"token": b""} and found.lives == {}
    gone = SecretRead(None, absent=True)
    assert gone.without_values() is gone and gone.size == 0


async def test_secrets_that_are_too_large_together_are_not_all_read() -> None:
    async with serve() as api, Kube(Access(api.url), timeout=5.0) as kube:
        store = Store()
        reconciler = Reconciler(kube, store, StoodClock(), ControllerMetrics())
        names = [f"s{number:02}" for number in range(12)]
        for name in names:
            api.put("secrets", secret(name, token="x" * LARGE, other="y" * LARGE))
        store.put(api.put("tracingconfigs", config(backends=[backend(f"b{name}", name) for name in names])))
        await reconciler.round("shop")
        read = [name for name in names if api.requests("GET", f"/secrets/{name}")]
        assert read == names[: MOST // LARGE + 1]
        status = api.get("tracingconfigs", "shop", "agents")["status"]
        told = {each["type"]: (each["status"], each["reason"], each["message"]) for each in status["conditions"]}
        assert told["Ready"][:2] == ("False", "PolicyTooLarge")
        assert told["ResolvedRefs"][:2] == ("Unknown", "SecretUnreadable")
        assert (
            "Secret s11: it was not read, because the Secrets of this policy have more than" in told["ResolvedRefs"][2]
        )
        # Once they fit, all is well again.
        for name in names:
            api.put("secrets", secret(name, token="x", other="y" * LARGE))
        await reconciler.round("shop")
        status = api.get("tracingconfigs", "shop", "agents")["status"]
        assert {each["type"]: each["status"] for each in status["conditions"]}["Ready"] == "True"
        kept = reconciler._teller._last["shop"].secrets
        assert len(kept) == 12 and sum(each.size for each in kept.values()) == 0
