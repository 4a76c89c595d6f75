"""Rollouts in a namespace's document: consent, what is enforced, room for both, and faults that come later."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from control_objects import backend, config
from tracekeeper_operator.plan import Plan, Published, assess, last_good, plan, read_published
from tracekeeper_operator.pod_seen import PodSeen
from tracekeeper_operator.rollout import Phase, Why
from tracekeeper_operator.secret_read import SecretRead
from tracekeeper_operator.trials import POLL
from tracekeeper_spec.config import TracingConfig
from tracekeeper_spec.parse import parse_manifest
from tracekeeper_spec.policy import MAX_BYTES, PolicyEntry
from tracekeeper_spec.scope import Scope

KEPT = {"default": {"type": "Probabilistic", "probabilistic": {"probability": 0.5}}}
NOW = 1_800_000_000.0
ROLLOUT = {"canaryPercent": 1, "observeFor": "5m"}
PODS = tuple(PodSeen(f"uid-{n}", f"pod-{n}", {"app": "a"}, attached=True, able=True) for n in range(5))
Object = dict[str, Any]


def read(manifest: Object) -> TracingConfig:
    found, faults = parse_manifest(manifest)
    assert found is not None, faults
    return found


def root(generation: int = 1, *, lent: bool = True, **spec: Any) -> Object:
    """A default of the root namespace."""
    whom = {"from": "All" if lent else "Same"}
    manifest = config("root", "obs", generation=generation, allowedNamespaces=whom, **spec)
    manifest["spec"].pop("backends") if "backends" not in spec else None
    return manifest


def decide(
    manifests: list[Object],
    before: Plan | None = None,
    *,
    above: Object | None = None,
    secrets: Mapping[str, SecretRead] | None = None,
    now: float = NOW,
    pods: tuple[PodSeen, ...] = PODS,
) -> Plan:
    published = read_published(before.secret) if before is not None else Published(None)
    configs = assess(manifests, published.document)
    own = [item.config for item in configs if item.config is not None]
    others = [read(above)] if above is not None else []
    scope = Scope("shop", {}, lambda wanted: {"shop": own, "obs": others}.get(wanted, []), "obs")
    return plan("shop", configs, secrets or {}, published, floor=0, now=now, scope=scope, look=lambda: pods)


def entry(decided: Plan) -> PolicyEntry:
    (found,) = decided.document.configs
    return found


def state(decided: Plan, uid: str = "uid-agents") -> tuple[Phase, Why]:
    found = decided.rollouts[uid]
    return found.phase, found.why


def test_a_round_is_due_soon_while_something_is_tried() -> None:
    first = decide([config(rollout=ROLLOUT)])
    assert first.due is None
    trying = decide([config(generation=2, rollout=ROLLOUT, logLevel="Debug")], first)
    assert trying.write and trying.due == NOW + POLL and trying.document.revision > first.document.revision
    again = decide([config(generation=2, rollout=ROLLOUT, logLevel="Debug")], trying, now=NOW + 10)
    assert not again.write and again.due == NOW + 10 + POLL


def test_each_entry_is_tried_by_its_own_pods() -> None:
    one = config("one", selector={"matchLabels": {"app": "a"}}, rollout=ROLLOUT)
    two = config("two", selector={"matchLabels": {"app": "b"}}, rollout=ROLLOUT)
    first = decide([one, two])
    changed = [{**each, "spec": {**each["spec"], "logLevel": "Debug"}} for each in (one, two)]
    taken = decide(changed, first)
    assert state(taken, "uid-one")[0] is Phase.PROGRESSING
    assert state(taken, "uid-two") == (Phase.COMPLETE, Why.NO_PODS)


def test_a_changed_default_is_tried_where_it_is_inherited() -> None:
    own = config(rollout=ROLLOUT)
    first = decide([own], above=root(logLevel="Info"))
    taken = decide([own], first, above=root(2, logLevel="Debug"))
    assert state(taken)[0] is Phase.PROGRESSING and entry(taken).spec["logLevel"] == "Info"
    assert entry(taken).sources == ("shop/agents@1", "obs/root@1")
    assert entry(taken).candidate is not None and entry(taken).candidate.sources == ("shop/agents@1", "obs/root@2")  # type: ignore[union-attr]


def test_consent_that_is_taken_back_waits_for_nobody() -> None:
    own = config(rollout=ROLLOUT)
    first = decide([own], above=root(logLevel="Debug"))
    for above in (root(2, logLevel="Debug", lent=False), None):
        taken = decide([own], first, above=above)
        assert "logLevel" not in entry(taken).spec and state(taken) == (Phase.COMPLETE, Why.NOT_HELD)


def test_what_was_halted_does_not_come_to_all_with_consent_that_is_taken_back() -> None:
    default = root(logLevel="Info", sampling=KEPT)
    first = decide([config(rollout=ROLLOUT)], above=default)
    bad = config(generation=2, rollout=ROLLOUT, buffer={"whenFull": "DropOldest"}, logLevel="Debug")
    trying = decide([bad], first, above=default)
    new = entry(trying).candidate
    assert new is not None
    hurt = tuple(replace(pod, digest=new.digest, crashed_at=NOW + 201) if new.takes(pod.uid) else pod for pod in PODS)
    halted = decide([bad], trying, above=default, now=NOW + 10, pods=hurt)
    assert state(halted)[0] is Phase.HALTED and entry(halted).spec["logLevel"] == "Info"
    for before in (trying, halted):
        for above in (None, root(2, lent=False, logLevel="Info", sampling=KEPT)):
            gone = decide([bad], before, above=above, now=NOW + 20)
            assert state(gone)[0] is not Phase.COMPLETE
            assert not {"sampling", "logLevel", "buffer"} & set(entry(gone).spec) and not entry(gone).origins
            assert entry(gone).sources == ("shop/agents@1",)
            assert (state(gone)[0] is Phase.HALTED) == (before is halted), "what was halted is not tried again"
            assert state(decide([bad], gone, above=above, now=NOW + 30)) == state(gone)


def test_another_default_in_its_place_is_held_on_to_only_as_long_as_it_may_be_used() -> None:
    def other(*, lent: bool = True) -> Object:
        manifest = root(logLevel="Error", lent=lent)
        manifest["metadata"] |= {"name": "other", "uid": "uid-other"}
        return manifest

    bad = config(generation=2, rollout=ROLLOUT, buffer={"whenFull": "DropOldest"})
    first = decide([config(rollout=ROLLOUT)], above=root(logLevel="Info"))
    trying = decide([bad], decide([bad], first, above=root(logLevel="Info")), above=other())
    assert entry(trying).spec["logLevel"] == "Error" and "buffer" not in entry(trying).spec
    assert entry(trying).sources == ("shop/agents@1", "obs/other@1")
    gone = decide([bad], trying, above=other(lent=False))
    assert not {"buffer", "logLevel"} & set(entry(gone).spec) and state(gone)[0] is Phase.PROGRESSING


def test_where_nothing_works_without_it_what_is_new_takes_its_place() -> None:
    own = config(rollout=ROLLOUT)
    own["spec"].pop("backends")
    first = decide([own], above=root(backends=[backend("a")]))
    taken = decide([config(generation=2, rollout=ROLLOUT, backends=[backend("b")], logLevel="Debug")], first)
    assert [each["name"] for each in entry(taken).spec["backends"]] == ["b"]
    assert "logLevel" not in entry(taken).spec and state(taken)[0] is Phase.PROGRESSING
    assert state(decide([own], first)) == (Phase.COMPLETE, Why.NOT_HELD)


def test_it_is_taken_back_in_the_middle_too() -> None:
    own = config(rollout=ROLLOUT)
    first = decide([own], above=root(logLevel="Info"))
    trying = decide([own], first, above=root(2, logLevel="Debug"))
    gone = decide([own], trying, above=root(3, logLevel="Debug", lent=False))
    assert entry(gone).candidate is None and "logLevel" not in entry(gone).spec


def test_what_the_root_namespace_enforces_waits_for_nobody() -> None:
    own = config(rollout=ROLLOUT, logLevel="Error")
    first = decide([own], above=root())
    new = config(generation=2, rollout=ROLLOUT, logLevel="Error", buffer={"whenFull": "DropOldest"})
    taken = decide([new], first, above=root(2, logLevel="Debug", enforced=["LogLevel"]))
    assert entry(taken).spec["logLevel"] == "Debug" and "buffer" not in entry(taken).spec
    assert entry(taken).origins["logLevel"] == "obs/root" and state(taken)[0] is Phase.PROGRESSING


def test_a_deleted_config_retires_what_works() -> None:
    first = decide([config(rollout=ROLLOUT)])
    trying = decide([config(generation=2, rollout=ROLLOUT, logLevel="Debug")], first)
    gone = decide([], trying, now=NOW + 10)
    assert entry(gone).retired and entry(gone).candidate is None and "logLevel" not in entry(gone).spec


def test_faults_that_come_in_the_middle_leave_what_is_tried_as_it_is() -> None:
    first = decide([config(rollout=ROLLOUT)])
    trying = decide([config(generation=2, rollout=ROLLOUT, logLevel="Debug")], first)
    found = last_good(trying.document, config())
    assert found is not None and found.generation == 2
    faulty = decide([config(generation=3, rollout=ROLLOUT, logLevel="Loud")], trying, now=NOW + 10)
    assert not faulty.write and entry(faulty) == entry(trying)


def test_where_there_is_no_room_for_both_it_comes_at_once() -> None:
    long = [{"name": f"h{n}", "value": "x" * 4000} for n in range(16)]

    def wide(generation: int, suffix: str) -> Object:
        backends = [backend(f"b{n}") for n in range(16)]
        for each in backends:
            each["otlp"]["headers"] = [{**header, "name": header["name"] + suffix} for header in long]
        return config(generation=generation, rollout=ROLLOUT, backends=backends[:9])

    first = decide([wide(1, "a")])
    assert first.size is None and MAX_BYTES / 2 < len(first.document.to_json()) < MAX_BYTES
    taken = decide([wide(2, "b")], first)
    assert taken.size is None and entry(taken).generation == 2 and state(taken) == (Phase.COMPLETE, Why.TOO_LARGE)


def test_values_of_secrets_are_there_for_both() -> None:
    secrets = {"old": SecretRead({"token": b"1"}), "new": SecretRead({"token": b"2"})}
    first = decide([config(rollout=ROLLOUT, backends=[backend("a", "old")])], secrets=secrets)
    new = config(generation=2, rollout=ROLLOUT, backends=[backend("a", "new")])
    taken = decide([new], first, secrets=secrets)
    assert taken.document.secrets == {"old": {"token": b"1"}, "new": {"token": b"2"}}
    unreadable = decide([new], taken, secrets={"old": SecretRead(None), "new": SecretRead(None)}, now=NOW + 10)
    assert unreadable.document.secrets == taken.document.secrets
    text = base64.b64decode(taken.secret["data"]["policy.json"]).decode()
    assert '"candidate"' in text
