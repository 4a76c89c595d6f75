"""The memory of TracingConfigs: events, and lists that set it right."""

from __future__ import annotations

from control_objects import config
from tracekeeper_operator.store import Store


def test_tells_what_changed() -> None:
    store = Store()
    assert store.put(config())
    assert not store.put(config())
    assert store.put(config(generation=2))
    assert store.remove(config())
    assert not store.remove(config())
    assert store.namespaces() == set()


def test_keeps_the_newest_status() -> None:
    store = Store()
    store.put(config())
    assert not store.put({**config(), "status": {"observedGeneration": 1}})
    assert store.of("shop")[0]["status"] == {"observedGeneration": 1}


def test_keeps_nothing_that_nobody_reads() -> None:
    """There may be many, with annotations of 256 KiB and managed fields as long as all of them."""
    store, much = Store(), {"annotations": {"note": "x" * 1000}, "labels": {"a": "b"}, "managedFields": [{"f": "y"}]}
    whole = {**config(), "status": {"observedGeneration": 1}}
    whole["metadata"] |= much
    store.put(whole)
    (found,) = store.of("shop")
    assert found == {**config(), "status": {"observedGeneration": 1}}
    assert whole["metadata"]["annotations"], "which others may still need"
    store.replace([whole], store.mark())
    assert store.of("shop") == [found]


def test_a_list_brings_what_events_missed() -> None:
    store = Store()
    store.put(config("gone", "old"))
    store.put(config("kept"))
    mark = store.mark()
    assert store.replace([config("kept"), config("new", "third")], mark) == {"old", "third"}
    assert store.namespaces() == {"shop", "third"}


def test_an_event_is_newer_than_a_list_that_was_under_way() -> None:
    store = Store()
    store.put(config("deleted"))
    store.put(config("changed", generation=1))
    mark = store.mark()
    store.remove(config("deleted"))
    store.put(config("changed", generation=2))
    store.put(config("created"))
    assert store.replace([config("deleted"), config("changed", generation=1)], mark) == set()
    found = {item["metadata"]["name"]: item["metadata"]["generation"] for item in store.of("shop")}
    assert found == {"changed": 2, "created": 1}


def test_a_late_event_does_not_undo_a_newer_list() -> None:
    store = Store()
    store.put(config(generation=9))
    store.replace([config(generation=10)], store.mark())
    assert not store.put(config(generation=9))
    assert store.of("shop")[0]["metadata"]["generation"] == 10


def test_a_late_deletion_does_not_take_what_was_created_since() -> None:
    store = Store()
    again = config()
    again["metadata"]["uid"] = "uid-again"
    store.put(config(generation=9))
    store.replace([again], store.mark())
    assert not store.remove(config(generation=9))
    assert store.of("shop") == [again]
    assert store.remove(again)


def test_a_late_event_does_not_hold_off_a_list_that_was_under_way() -> None:
    store = Store()
    store.put(config(generation=10))
    mark = store.mark()
    store.put(config(generation=9))
    assert store.replace([config(generation=11)], mark) == {"shop"}
    assert store.of("shop")[0]["metadata"]["generation"] == 11


def test_a_list_is_right_even_when_it_is_older() -> None:
    """As after etcd was restored from a backup."""
    store = Store()
    store.put(config(generation=10))
    assert store.replace([config(generation=7)], store.mark()) == {"shop"}
    assert store.of("shop")[0]["metadata"]["generation"] == 7


def test_the_oldest_comes_first() -> None:
    store = Store()
    young, old = config("a"), config("b")
    young["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    store.put(young)
    store.put(old)
    assert [item["metadata"]["name"] for item in store.of("shop")] == ["b", "a"]
    assert len(store) == 2
