"""The injector's certificate over real TLS: a bad Secret must not take down what is served."""

from __future__ import annotations

import ssl
import time
from dataclasses import replace

import aiohttp
import pytest
from aiohttp import web

from tracekeeper_operator import certs
from tracekeeper_operator.access import Access
from tracekeeper_operator.certs import Lives, Material
from tracekeeper_operator.errors import CertificateError
from tracekeeper_operator.identity import Identity
from tracekeeper_operator.kube import Kube
from tracekeeper_operator.metrics import InjectorMetrics
from tracekeeper_operator.settings import Address
from tracekeeper_operator.web import Server

GOOD = certs.make(time.time(), ["localhost"], Lives())
OTHER = certs.make(time.time(), ["localhost"], Lives())


async def served(port: int, authority: str) -> int:
    """The HTTP status over a new connection that trusts this authority only."""
    tls = ssl.create_default_context(cadata=authority)
    async with aiohttp.ClientSession() as session:
        async with session.get(f"https://localhost:{port}/", ssl=tls) as answer:
            return answer.status


@pytest.mark.parametrize(
    "bad",
    [
        replace(OTHER, key=GOOD.key),
        replace(GOOD, key=OTHER.key),
        replace(OTHER, key="garbage"),
        replace(OTHER, certificate="garbage"),
    ],
    ids=["new certificate, old key", "old certificate, new key", "no key", "no certificate"],
)
async def test_a_pair_that_does_not_fit_leaves_the_loaded_one_in_use(bad: Material) -> None:
    async with Kube(Access("http://127.0.0.1:1"), timeout=1.0) as kube:
        identity = Identity(kube, "tk", InjectorMetrics())
        identity.load(GOOD)
        async with Server(web.Application(), Address("127.0.0.1", 0), tls=identity.context) as server:
            assert await served(server.port, GOOD.ca) == 404
            with pytest.raises(CertificateError):
                identity.load(bad)
            assert await served(server.port, GOOD.ca) == 404
            identity.load(OTHER)
            assert await served(server.port, OTHER.ca) == 404
