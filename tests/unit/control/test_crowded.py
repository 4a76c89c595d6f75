"""A namespace with very many TracingConfigs: it costs the others nothing, and the oldest go on working."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from control_objects import backend, config
from tracekeeper_operator.book import Book
from tracekeeper_operator.catalog import Catalog
from tracekeeper_operator.namespaces import Namespaces
from tracekeeper_operator.plan import Plan, Published, plan
from tracekeeper_operator.status import Outcome, conditions
from tracekeeper_operator.store import Store
from tracekeeper_operator.validate import validate
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.scope import MOST, Scope
from tracekeeper_spec.wish import Reference

Object = dict[str, Any]
ROOT = "observability"


def aged(number: int, **spec: Any) -> Object:
    """The higher the number, the younger."""
    found = config(f"c{number:04}", **{"selector": {"matchLabels": {"app": f"a{number}"}}, **spec})
    found["metadata"]["creationTimestamp"] = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}Z"
    return found


def book_of(manifests: list[Object]) -> Book:
    store = Store()
    for manifest in manifests:
        store.put(manifest)
    return Book(store, Namespaces(), ROOT)


def planned(book: Book) -> Plan:
    return plan(
        "shop",
        book.assessed("shop"),
        {},
        Published(None),
        floor=0,
        now=1_800_000_000.0,
        scope=book.scope("shop"),
        known=book.known,
    )


def test_a_plan_looks_through_a_namespaces_configs_once_however_many_there_are() -> None:
    """Once for each of them would hold everybody up: the controller has one loop, and a Lease to renew in it."""
    asked: Counter[str] = Counter()
    book = book_of(
        [aged(number) for number in range(30)] + [config("default", ROOT, allowedNamespaces={"from": "All"})]
    )

    def of(namespace: str) -> list[TracingConfig]:
        asked[namespace] += 1
        return book.of(namespace)

    configs = book.assessed("shop")
    found = plan("shop", configs, {}, Published(None), floor=0, now=1_800_000_000.0, scope=Scope("shop", {}, of, ROOT))
    assert sum(len(entry.sources) == 2 for entry in found.document.configs) == 30
    assert asked == {"shop": 1, ROOT: 1}


def test_the_oldest_count_and_the_others_are_told_so() -> None:
    book = book_of([aged(number) for number in reversed(range(MOST + 3))])
    found = planned(book)
    assert [entry.name for entry in found.document.configs] == [f"c{number:04}" for number in range(MOST)]
    assert len(found.configs) == MOST + 3
    for item in found.configs:
        accepted, _, ready = conditions(item, found, {}, Outcome(), now=0.0)
        if item.name in (f"c{number:04}" for number in range(MOST)):
            assert (accepted.status, ready.status) == ("True", "True")
        else:
            assert (accepted.status, ready.status) == ("False", "False")
            assert f"more than {MOST} TracingConfigs" in accepted.message


def test_the_injector_takes_the_same_ones() -> None:
    catalog = Catalog(root=ROOT)
    catalog.replace([aged(number) for number in reversed(range(MOST + 1))])
    for number, there in ((0, True), (MOST - 1, True), (MOST, False)):
        by_labels = catalog.scope("shop").by_labels({"app": f"a{number}"})
        by_name = catalog.scope("shop").by_name(Reference("shop", f"c{number:04}"))
        assert (by_labels is not None, by_name is not None) == (there, there)
    catalog.remove(aged(3))
    assert catalog.scope("shop").by_labels({"app": f"a{MOST}"}) is not None, "there is room now"
    catalog.put(aged(3))
    assert catalog.scope("shop").by_labels({"app": f"a{MOST}"}) is None


def test_one_too_many_is_refused_when_it_is_written() -> None:
    there = [parsed for number in range(MOST) if (parsed := parse_manifest(aged(number))[0]) is not None]

    def verdict(new: Object, old: Object | None, count: int = MOST) -> str:
        scope = Scope("shop", {}, lambda wanted: there[:count] if wanted == "shop" else [], ROOT)
        return validate(new, old, scope).message

    text = verdict(aged(MOST), None)
    assert f"has {MOST} TracingConfigs" in text and "delete" in text
    assert verdict(aged(MOST - 1), None, MOST - 1) == ""
    changed = aged(7, backends=[backend("other")])
    assert verdict(changed, aged(7)) == "", "those that are there can be changed"


async def test_others_have_their_turn_while_configs_are_read() -> None:
    book = book_of([aged(number) for number in range(50)])
    turns = 0

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    await book.read("shop")
    task.cancel()
    assert turns >= 50
    assert len(book.of("shop")) == 50
