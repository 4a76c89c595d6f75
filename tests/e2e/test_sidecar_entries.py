"""Delivery entries of a whole sidecar: a part of the spans, best effort, critical ones, and books after a restart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from otlp_requests import request
from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until

Start = Callable[..., Backend]
NOWHERE = 9
"""A port on which nothing listens."""


def columns(book: dict[str, Any], name: str) -> tuple[int, ...]:
    """What became of one entry's spans: delivered, unmatched, dropped, pending."""
    entry = book["delivery"][name]
    return tuple(entry[column] for column in ("delivered", "unmatched", "dropped", "pending"))


def test_entries_take_their_part_and_their_books_outlive_a_restart(sidecars: Sidecars, start_backend: Start) -> None:
    a, b = start_backend("--name", "a"), start_backend("--name", "b")
    config = manifest(
        otlp("a", "GRPC", a.grpc),
        otlp("b", "HTTP", b.http),
        otlp("lab", "GRPC", NOWHERE),
        delivery=[
            {"name": "all", "backends": ["a"]},
            {"name": "part", "backends": ["b"], "match": 'span.name == "span 3"'},
            {"name": "lab", "backends": ["lab"], "guarantee": "BestEffort", "maxLag": "1s"},
        ],
    )
    sidecar = sidecars.start(config=config)
    for seed in range(3):
        assert sidecar.post(10, seed=seed) == 200
    book = sidecar.settled()
    assert columns(book, "all") == (30, 0, 0, 0)
    assert columns(book, "part") == (3, 27, 0, 0)
    assert columns(book, "lab") == (0, 0, 30, 0)
    assert len(b.ids()) == 3 and b.ids() < a.ids()
    health = sidecar.health()
    assert health["status"] != "unhealthy", health
    assert sidecar.stop() == 0

    again = sidecars.start()
    until(lambda: len(again.ledger()["delivery"]) == 3, "the entries are there again")
    assert again.ledger()["delivery"] == book["delivery"]
    assert 'reason="lag"} 30.0' in again.get("/metrics")[1]
    assert again.post(10, seed=7) == 200
    assert columns(again.settled(), "part") == (4, 36, 0, 0)


def post_critical(sidecar: RunningSidecar) -> None:
    """Send one span whose priority is critical."""
    message = request(1, seed=99)
    span = message.resource_spans[0].scope_spans[0].spans[0]
    span.attributes.add(key="tracekeeper.priority").value.string_value = "critical"
    assert sidecar.send(message.SerializeToString()) == 200


def test_a_critical_span_takes_those_before_it_along_at_once(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    patient = otlp("a", "GRPC", a.grpc) | {"batch": {"maxDelay": "1m"}}
    sidecar = sidecars.start(config=manifest(patient))
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    assert sidecar.post(5, seed=1) == 200
    post_critical(sidecar)
    until(lambda: a.json("/stats")["distinct"] == 6, "they arrive long before maxDelay is over")
