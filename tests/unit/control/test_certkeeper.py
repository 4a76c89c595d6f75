"""Keeping certificates: one Secret and two webhook configurations, mended whatever happens to them."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from cryptography import x509

from control_api import Api, serve
from control_objects import StoodClock
from tracekeeper_operator import certs
from tracekeeper_operator.access import Access
from tracekeeper_operator.certkeeper import CertKeeper, Place, bundle_patch
from tracekeeper_operator.certs import Lives, Material
from tracekeeper_operator.errors import KubeError
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.tasks import run_until
from waiting import until

PLACE = Place("tk", "injector", "tk-injector", "tk-validator")
CONFIGURATIONS = (("mutatingwebhookconfigurations", "tk-injector"), ("validatingwebhookconfigurations", "tk-validator"))


@pytest.fixture
async def api() -> AsyncIterator[Api]:
    async with serve() as api:
        api.put("secrets", {"metadata": {"name": "tracekeeper-webhook-tls", "namespace": "tk"}, "type": "Opaque"})
        for plural, name in CONFIGURATIONS:
            hooks = [{"name": "a", "clientConfig": {}}, {"name": "b", "clientConfig": {}}]
            api.put(plural, {"metadata": {"name": name}, "webhooks": hooks})
        yield api


@pytest.fixture
async def kube(api: Api) -> AsyncIterator[Kube]:
    async with Kube(Access(api.url), timeout=2.0) as kube:
        yield kube


def stored(api: Api, key: str) -> str:
    data = api.get("secrets", "tk", "tracekeeper-webhook-tls")["data"]
    return base64.b64decode(data[key]).decode()


def bundles(api: Api) -> set[str]:
    found = (hook for plural, name in CONFIGURATIONS for hook in api.get(plural, "", name)["webhooks"])
    return {base64.b64decode(hook["clientConfig"].get("caBundle", "")).decode() for hook in found}


async def settle(keeper: CertKeeper) -> int:
    """Rounds until nothing changes."""
    for count in range(10):
        if await keeper.once():
            return count
    raise AssertionError("it never settled")


async def test_makes_a_certificate_and_gives_trust(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, PLACE, StoodClock())
    await settle(keeper)
    assert keeper.ready.is_set()
    assert bundles(api) == {stored(api, "ca.crt")}
    secret = api.get("secrets", "tk", "tracekeeper-webhook-tls")
    assert secret["type"] == "Opaque"
    assert set(secret["data"]) == {"tls.crt", "tls.key", "ca.crt", "ca.key"}
    writes = len(api.requests("PATCH"))
    await settle(keeper)
    assert len(api.requests("PATCH")) == writes


async def test_mends_a_configuration_that_was_written_anew(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, PLACE, StoodClock())
    await settle(keeper)
    api.put("mutatingwebhookconfigurations", {"metadata": {"name": "tk-injector"}, "webhooks": [{"clientConfig": {}}]})
    await settle(keeper)
    assert bundles(api) == {stored(api, "ca.crt")}


async def test_makes_everything_anew_when_the_secret_is_lost_or_damaged(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, PLACE, StoodClock())
    await settle(keeper)
    first = stored(api, "ca.crt")
    api.get("secrets", "tk", "tracekeeper-webhook-tls")["data"]["ca.key"] = "%%%"
    await settle(keeper)
    second = stored(api, "ca.crt")
    api.remove("secrets", "tk", "tracekeeper-webhook-tls")
    await settle(keeper)
    assert len({first, second, stored(api, "ca.crt")}) == 3
    assert bundles(api) == {stored(api, "ca.crt")}


async def test_renews_in_the_order_that_keeps_trust(api: Api, kube: Kube) -> None:
    clock = StoodClock()
    expiries: list[float] = []
    lives = Lives(authority=300.0, serving=60.0)
    keeper = CertKeeper(kube, PLACE, clock, lives=lives, on_expiry=expiries.append)
    await settle(keeper)
    clock.wall += 180
    await settle(keeper)
    before = stored(api, "tls.crt")
    clock.wall += 21
    assert await keeper.once() is False
    assert stored(api, "ca.crt").count("BEGIN") == 2
    assert stored(api, "tls.crt") == before
    await settle(keeper)
    assert stored(api, "tls.crt") != before
    assert bundles(api) == {stored(api, "ca.crt")}
    assert expiries[-1] > expiries[0]


async def test_a_configuration_that_is_not_there_holds_nothing_up(api: Api, kube: Kube) -> None:
    api.remove("validatingwebhookconfigurations", "", "tk-validator")
    keeper = CertKeeper(kube, PLACE, StoodClock())
    await settle(keeper)
    hooks = api.get("mutatingwebhookconfigurations", "", "tk-injector")["webhooks"]
    assert all(hook["clientConfig"]["caBundle"] for hook in hooks)


async def test_without_trust_it_is_not_ready(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, PLACE, StoodClock())
    api.fail("PATCH", "/tk-injector", 403, '{"message": "no"}')
    with pytest.raises(KubeError, match="patch mutatingwebhookconfigurations tk-injector: no"):
        await keeper.once()
    assert not keeper.ready.is_set()
    await settle(keeper)
    assert keeper.ready.is_set()


async def test_a_new_authority_waits_for_trust_that_fails(api: Api, kube: Kube) -> None:
    clock = StoodClock()
    keeper = CertKeeper(kube, PLACE, clock, lives=Lives(authority=300.0, serving=150.0))
    for wait in (0, 101):
        clock.wall += wait
        await settle(keeper)
    clock.wall += 100
    before = stored(api, "tls.crt")
    for _ in range(2):
        api.fail("PATCH", "/tk-validator", 500)
        with pytest.raises(KubeError):
            await keeper.once()
        assert stored(api, "ca.crt").count("BEGIN") == 2
        assert stored(api, "tls.crt") == before
    await settle(keeper)
    assert stored(api, "tls.crt") != before


CONTROL = replace(PLACE, control="tk-control")


async def test_names_the_control_stream_and_tells_people_whom_to_trust(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, CONTROL, StoodClock())
    await settle(keeper)
    (serving,) = x509.load_pem_x509_certificates(stored(api, "tls.crt").encode())
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    found = names.get_values_for_type(x509.DNSName)
    assert {"injector.tk.svc", "tk-control.tk.svc", "tk-control.tk.svc.cluster.local"} <= set(found)
    told = api.get("configmaps", "tk", "tracekeeper-ca")
    expected = {
        "ca.crt": stored(api, "ca.crt"),
        "endpoint": "tk-control.tk.svc:9444",
        "certificate-not-before": serving.not_valid_before_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "certificate-not-after": serving.not_valid_after_utc.strftime("%Y-%m-%dT%H:%M:%SZ"),
    }
    assert told["data"] == expected
    told["data"] = {"ca.crt": "somebody else's"}
    await settle(keeper)
    assert api.get("configmaps", "tk", "tracekeeper-ca")["data"] == expected
    writes = len(api.requests("PATCH"))
    await settle(keeper)
    assert len(api.requests("PATCH")) == writes


async def test_without_a_control_stream_there_is_nothing_to_tell(api: Api, kube: Kube) -> None:
    await settle(CertKeeper(kube, PLACE, StoodClock()))
    assert not [item for item in api.seen if "configmaps" in item.path]


async def test_an_upgrade_gets_a_certificate_with_the_new_name(api: Api, kube: Kube) -> None:
    await settle(CertKeeper(kube, PLACE, StoodClock()))
    before = stored(api, "ca.crt")
    await settle(CertKeeper(kube, CONTROL, StoodClock()))
    (serving,) = x509.load_pem_x509_certificates(stored(api, "tls.crt").encode())
    names = serving.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "tk-control.tk.svc" in names.get_values_for_type(x509.DNSName)
    assert stored(api, "ca.crt") == before


async def test_the_webhooks_do_not_wait_for_what_people_are_told(api: Api, kube: Kube) -> None:
    keeper = CertKeeper(kube, CONTROL, StoodClock())
    api.fail("PATCH", "/tracekeeper-ca", 403, '{"message": "no"}')
    with pytest.raises(KubeError, match="patch configmaps tk/tracekeeper-ca: no"):
        await keeper.once()
    assert keeper.ready.is_set()


async def test_tells_of_every_change_once(api: Api, kube: Kube) -> None:
    changes: list[str] = []
    clock = StoodClock()
    lives = Lives(authority=300.0, serving=60.0)
    keeper = CertKeeper(kube, PLACE, clock, lives=lives, on_change=lambda: changes.append(known(keeper).ca))
    api.fail("PATCH", "/tk-injector", 403)
    with pytest.raises(KubeError):
        await keeper.once()
    assert keeper.known.is_set() and not keeper.ready.is_set()
    await settle(keeper)
    await settle(keeper)
    assert changes == [stored(api, "ca.crt")]
    clock.wall += 201
    await settle(keeper)
    assert changes[-1] == known(keeper).ca == stored(api, "ca.crt")
    assert changes[-1].count("BEGIN") == 2


def known(keeper: CertKeeper) -> Material:
    assert keeper.material is not None
    return keeper.material


async def test_looks_as_often_as_the_shortest_of_lives_asks_for(api: Api, kube: Kube) -> None:
    """Also when lives were shorter before: what they made ends soon."""
    clock = StoodClock()
    assert CertKeeper(kube, PLACE, clock).pause == 60.0
    short = CertKeeper(kube, PLACE, clock, lives=Lives(authority=60.0, serving=25.0))
    assert short.pause == pytest.approx(25 / 30)
    await settle(short)
    later = CertKeeper(kube, PLACE, clock)
    await later.once()
    assert later.pause == pytest.approx(25 / 30)
    for _ in range(200):
        clock.wall += later.pause
        await later.once()
        assert certs.expires(known(later)) > clock.now()
    assert certs.expires(known(later)) - clock.now() > 80 * certs.DAY and later.pause == 60.0


async def test_goes_on_after_failures(api: Api, kube: Kube) -> None:
    for _ in range(3):
        api.fail("GET", "/tracekeeper-webhook-tls", 500)
    keeper = CertKeeper(kube, PLACE, StoodClock(), period=0.05)
    stop = asyncio.Event()
    running = asyncio.create_task(run_until(stop, {"keeper": keeper.run()}))
    await until(lambda: "" not in bundles(api))
    stop.set()
    await running


def test_the_patch_tests_the_version_it_was_made_for() -> None:
    hooks = [{"clientConfig": {"caBundle": "new"}}, {"clientConfig": {"caBundle": "old"}}]
    found = bundle_patch({"metadata": {"resourceVersion": "7"}, "webhooks": hooks}, "new")
    assert found == [
        {"op": "test", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "add", "path": "/webhooks/1/clientConfig/caBundle", "value": "new"},
    ]
    assert bundle_patch({"metadata": {"resourceVersion": "7"}, "webhooks": hooks[:1]}, "new") == []
