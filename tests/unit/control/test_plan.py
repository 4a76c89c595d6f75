"""What a namespace should have, decided without any I/O."""

from __future__ import annotations

import base64
from dataclasses import replace
from typing import Any

from control_objects import backend, config, secret
from tracekeeper_operator.plan import Plan, Published, assess, plan, read_published
from tracekeeper_operator.retire import RETIRED_FOR
from tracekeeper_operator.secret_read import SecretRead, read_secret
from tracekeeper_spec.policy import Control, PolicyDocument

NOW = 1_800_000_000.0
Object = dict[str, Any]


def decide(
    manifests: list[Object],
    published: Published | None = None,
    secrets: dict[str, SecretRead] | None = None,
    floor: int = 0,
    now: float = NOW,
    control: Control | None = None,
) -> Plan:
    before = published or Published(None)
    configs = assess(manifests, before.document)
    return plan("shop", configs, secrets or {}, before, floor=floor, now=now, control=control)


def published(decided: Plan) -> Published:
    return read_published(decided.secret)


def test_publishes_what_is_written() -> None:
    decided = decide([config()])
    assert decided.write and not decided.delete
    assert decided.document.revision == int(NOW)
    (entry,) = decided.document.configs
    assert (entry.name, entry.uid, entry.generation) == ("agents", "uid-agents", 1)
    assert entry.spec == config()["spec"]


def test_the_secret_belongs_to_no_config() -> None:
    """It would go with the last one, before sidecars heard that they are to drain."""
    decided = decide([config("a"), config("b")])
    meta = decided.secret["metadata"]
    assert "ownerReferences" not in meta
    assert meta["labels"] == {"app.kubernetes.io/managed-by": "tracekeeper"}
    assert (meta["namespace"], meta["name"]) == ("shop", "tracekeeper-policy")
    text = base64.b64decode(decided.secret["data"]["policy.json"])
    assert PolicyDocument.from_json(text) == decided.document


def test_writes_only_differences() -> None:
    first = decide([config()])
    again = decide([config()], published(first), now=NOW + 500)
    assert not again.write
    assert again.document == first.document


def test_what_was_retired_by_a_clock_that_was_ahead_goes_in_time_all_the_same() -> None:
    ahead = decide([], published(decide([config()])), now=NOW + 30 * 86_400)
    right = decide([], published(ahead), now=NOW)
    assert right.write and right.due == NOW + RETIRED_FOR
    assert not decide([], published(right), now=NOW + 1).write
    assert decide([], published(right), now=NOW + RETIRED_FOR).delete


def test_every_change_is_a_higher_revision() -> None:
    first = decide([config()])
    soon = decide([config(generation=2, suspend=True)], published(first))
    assert soon.write and soon.document.revision == first.document.revision + 1
    later = decide([config(generation=3)], published(soon), now=NOW + 100)
    assert later.document.revision == int(NOW) + 100


def test_says_where_the_control_stream_is() -> None:
    here = Control("tk-control.tk.svc:9444", "PEM")
    first = decide([config()])
    told = decide([config()], published(first), control=here)
    assert told.write and told.document.control == here
    assert told.document.revision == first.document.revision + 1
    assert told.document.digest == first.document.digest, "nothing else happens to spans"
    assert not decide([config()], published(told), control=here).write
    assert decide([config()], published(told), control=replace(here, ca="PEM2")).write
    assert decide([config()], published(told)).document.control is None


def test_the_revision_survives_deletion_and_a_clock_that_went_back() -> None:
    first = decide([config()])
    assert decide([config()], now=NOW + 10).document.revision > first.document.revision
    back = decide([config()], floor=first.document.revision, now=NOW - 5000)
    assert back.document.revision == first.document.revision + 1


def test_an_older_document_that_was_put_back_gets_a_new_revision() -> None:
    first = decide([config()])
    put_back = decide([config()], published(first), floor=first.document.revision + 5)
    assert put_back.write
    assert put_back.document.revision == first.document.revision + 6


def test_owners_of_earlier_versions_are_taken_off_without_a_new_revision() -> None:
    first = decide([config()])
    definition = {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "name": "x",
        "uid": "crd",
    }
    configs = assess([config()], first.document)
    owned = replace(published(first), owners=frozenset({"uid-agents"}))
    again = plan("shop", configs, {}, owned, floor=0, now=NOW, owner=definition)
    assert again.write and again.document == first.document
    assert again.secret["metadata"]["ownerReferences"] == [definition]
    assert not plan("shop", configs, {}, published(again), floor=0, now=NOW, owner=definition).write


def test_a_deleted_config_retires_before_it_goes() -> None:
    first = decide([config(backends=[backend("a", "tempo")])], secrets={"tempo": SecretRead({"token": b"t"})})
    gone = decide([], published(first), now=NOW + 5)
    assert gone.write and not gone.delete
    (entry,) = gone.document.configs
    assert entry.retired and entry.retired_at == NOW + 5 and entry.spec == first.document.configs[0].spec
    assert gone.document.secrets == {"tempo": {"token": b"t"}}, "what is held is still delivered"
    assert gone.document.pick({}, {}) == entry
    assert gone.due == NOW + 5 + RETIRED_FOR
    still = decide([], published(gone), now=NOW + RETIRED_FOR)
    assert not still.write and not still.delete and still.due == gone.due
    over = decide([], published(gone), now=NOW + 5 + RETIRED_FOR)
    assert over.delete and not over.write
    nothing = decide([], Published(None))
    assert not nothing.delete and not nothing.write


def test_others_live_on_beside_a_retired_one() -> None:
    first = decide([config("a"), config("b", selector={"matchLabels": {"app": "b"}})])
    gone = decide([config("a")], published(first))
    assert [(entry.name, entry.retired) for entry in gone.document.configs] == [("a", False), ("b", True)]
    # Pods that only the retired one selects have another now.
    picked = gone.document.pick({"app": "b"}, {})
    assert picked is not None and picked.name == "a"
    again = decide([config("a")], published(gone), now=NOW + RETIRED_FOR)
    assert [entry.name for entry in again.document.configs] == ["a"]


def test_a_secret_of_somebody_else_is_not_deleted() -> None:
    theirs = read_published({"metadata": {"name": "tracekeeper-policy"}, "data": {}})
    assert not decide([], theirs).delete


def test_a_config_with_faults_keeps_its_last_good_version() -> None:
    first = decide([config("a"), config("b")])
    broken = config("a", generation=2, backends=[{"name": "x"}])
    again = decide([broken, config("b")], published(first))
    assert not again.write
    assert [entry.generation for entry in again.document.configs] == [1, 1]
    bad, good = again.configs
    assert bad.faults and bad.config is not None and not good.faults


def test_a_config_that_never_was_good_takes_no_part() -> None:
    decided = decide([config("a", backends="no list"), config("b")])
    assert [entry.name for entry in decided.document.configs] == ["b"]
    assert decided.configs[0].config is None


def test_a_new_config_of_the_same_name_is_not_taken_for_the_old() -> None:
    first = decide([config("a")])
    broken = config("a", backends="no list")
    broken["metadata"]["uid"] = "another"
    assert [entry.retired for entry in decide([broken], published(first)).document.configs] == [True]


def test_carries_only_the_keys_that_are_referred_to() -> None:
    wants = config(backends=[backend("a", "tempo")])
    found = {"tempo": read_secret(secret("tempo", token="t0ken", other="never"), {"token"})}
    decided = decide([wants], secrets=found)
    assert decided.document.secrets == {"tempo": {"token": b"t0ken"}}


def test_a_rotated_secret_is_a_new_revision() -> None:
    wants = config(backends=[backend("a", "tempo")])
    first = decide([wants], secrets={"tempo": SecretRead({"token": b"old"})})
    again = decide([wants], published(first), secrets={"tempo": SecretRead({"token": b"new"})})
    assert again.write and again.document.secrets == {"tempo": {"token": b"new"}}
    assert again.document.revision > first.document.revision


def test_a_secret_that_cannot_be_read_stays_as_published() -> None:
    wants = config(backends=[backend("a", "tempo")])
    first = decide([wants], secrets={"tempo": SecretRead({"token": b"old"})})
    for unread in ({}, {"tempo": SecretRead(None, problem="timeout")}, {"tempo": SecretRead(None, forbidden=True)}):
        assert not decide([wants], published(first), secrets=unread).write


def test_a_secret_that_is_gone_goes() -> None:
    wants = config(backends=[backend("a", "tempo")])
    first = decide([wants], secrets={"tempo": SecretRead({"token": b"old"})})
    again = decide([wants], published(first), secrets={"tempo": SecretRead(None, absent=True)})
    assert again.write and again.document.secrets == {}


def test_a_policy_that_is_too_large_is_not_published() -> None:
    first = decide([config()])
    wants = config(generation=2, backends=[backend("a", "tempo")])
    huge = {"tempo": SecretRead({"token": b"x" * 1_100_000})}
    again = decide([wants], published(first), secrets=huge)
    assert again.size is not None and "bytes" in str(again.size)
    assert not again.write and again.document == first.document
    alone = decide([wants], secrets=huge)
    assert not alone.write and alone.document.configs == ()


def test_a_document_that_cannot_be_read_counts_as_none() -> None:
    labels = {"app.kubernetes.io/managed-by": "tracekeeper"}
    garbage = {"metadata": {"labels": labels}, "data": {"policy.json": base64.b64encode(b"{nonsense").decode()}}
    found = read_published(garbage)
    assert found == Published(None, ours=True)
    assert decide([config()], found).write
    assert decide([], found).delete


def test_values_that_are_no_base64_count_as_missing() -> None:
    assert read_secret({"data": {"a": "%%%", "b": "eA=="}}, {"a", "b"}).data == {"b": b"x"}
    assert read_secret({}, {"a"}).data == {}
