"""Conditions: what a TracingConfig's status says about each thing that can be wrong."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from control_objects import backend, config
from tracekeeper_operator.plan import Published, assess, plan
from tracekeeper_operator.secret_read import SecretRead
from tracekeeper_operator.status import (
    MAX_MESSAGE,
    Condition,
    Outcome,
    Reason,
    conditions,
    known_revision,
    status,
)
from tracekeeper_spec.policy import PolicyDocument

NOW = 1_800_000_000.0
DOCS = Path(__file__).parents[3] / "docs" / "reference" / "conditions.md"


def judged(
    *manifests: dict[str, Any],
    secrets: dict[str, SecretRead] | None = None,
    outcome: Outcome | None = None,
    published: PolicyDocument | None = None,
) -> dict[str, Condition]:
    """The conditions of the first config; `published` is the policy that is there already."""
    decided = plan("shop", assess(manifests, None), secrets or {}, Published(published), floor=0, now=NOW)
    found = conditions(decided.configs[0], decided, secrets or {}, outcome or Outcome(), now=NOW)
    return {condition.type: condition for condition in found}


def short(found: dict[str, Condition]) -> dict[str, tuple[str, str]]:
    return {name: (condition.status, condition.reason) for name, condition in found.items()}


def test_all_is_well() -> None:
    found = judged(config())
    assert short(found) == {
        "Accepted": ("True", "Accepted"),
        "ResolvedRefs": ("True", "ResolvedRefs"),
        "Ready": ("True", "Published"),
    }
    assert "shop/tracekeeper-policy" in found["Ready"].message


def test_secrets_of_channels_are_told_of_elsewhere() -> None:
    key = {"secretKeyRef": {"name": "slack", "key": "url"}}
    team = {"name": "team", "type": "Slack", "slack": {"channel": "#alerts", "webhookURL": key}}
    refs = judged(config(alerts={"channels": [team]}))["ResolvedRefs"]
    assert refs.message == "backends: no Secret is referred to; of those of channels, RulesLoaded tells"
    assert judged(config(alerts={}))["ResolvedRefs"].message == "no Secret is referred to"


def test_all_faults_are_in_one_message() -> None:
    found = judged(config(backends=[{"name": "a", "type": "OTLP"}], bakends=[], logLevel="Loud"))
    assert short(found) == {
        "Accepted": ("False", "Invalid"),
        "ResolvedRefs": ("Unknown", "Invalid"),
        "Ready": ("False", "Invalid"),
    }
    for path in ("spec.backends[0]", "spec.bakends", "spec.logLevel"):
        assert path in found["Accepted"].message
    assert "takes no part" in found["Accepted"].message


def test_says_which_version_stays_in_effect() -> None:
    first = plan("shop", assess([config()], None), {}, Published(None), floor=0, now=NOW)
    broken = assess([config(generation=2, logLevel="Loud")], first.document)
    decided = plan("shop", broken, {}, Published(first.document), floor=0, now=NOW)
    accepted, refs, ready = conditions(decided.configs[0], decided, {}, Outcome(), now=NOW)
    assert "generation 1 stays in effect" in accepted.message
    assert (refs.status, ready.status) == ("True", "False")


@pytest.mark.parametrize(
    ("read", "status", "reason", "text"),
    [
        (SecretRead({"token": b"x"}), "True", "ResolvedRefs", "all 1 keys"),
        (SecretRead({"other": b"x"}), "False", "SecretNotFound", "Secret tempo has no key token"),
        (SecretRead(None, absent=True), "False", "SecretNotFound", "Secret tempo does not exist"),
        (SecretRead(None, forbidden=True, problem="RBAC"), "False", "SecretForbidden", "may not read it (RBAC)"),
        (SecretRead(None, problem="timeout"), "Unknown", "SecretUnreadable", "timeout"),
        (None, "Unknown", "SecretUnreadable", "not read"),
    ],
)
def test_secrets(read: SecretRead | None, status: str, reason: str, text: str) -> None:
    secrets = {"tempo": read} if read is not None else {}
    found = judged(config(backends=[backend("a", "tempo")]), secrets=secrets)
    assert short(found)["ResolvedRefs"] == (status, reason)
    assert text in found["ResolvedRefs"].message
    expected = ("True", "Published") if status == "True" else ("False", reason)
    assert short(found)["Ready"] == expected


UNREAD = SecretRead(None, problem="timeout")
ABSENT = SecretRead(None, absent=True)
FORBIDDEN = SecretRead(None, forbidden=True, problem="RBAC")


def test_a_secret_that_was_never_read_is_not_said_to_stay() -> None:
    found = judged(config(backends=[backend("a", "tempo")]), secrets={"tempo": UNREAD})
    assert "no value of token was published" in found["ResolvedRefs"].message
    assert short(found)["Ready"] == ("False", "SecretUnreadable")


@pytest.mark.parametrize(
    ("read", "refs"),
    [(UNREAD, ("Unknown", "SecretUnreadable")), (FORBIDDEN, ("False", "SecretForbidden"))],
)
def test_a_published_value_keeps_a_config_ready(read: SecretRead, refs: tuple[str, str]) -> None:
    manifest = config(backends=[backend("a", "tempo")])
    there = {"tempo": SecretRead({"token": b"x"})}
    before = plan("shop", assess([manifest], None), there, Published(None), floor=0, now=NOW).document
    found = judged(manifest, secrets={"tempo": read}, published=before)
    assert short(found)["ResolvedRefs"] == refs
    assert "token published before stays" in found["ResolvedRefs"].message
    assert short(found)["Ready"] == ("True", "Published")
    assert "see ResolvedRefs" in found["Ready"].message


@pytest.mark.parametrize(
    ("first", "second", "refs"),
    [
        (UNREAD, ABSENT, ("False", "SecretNotFound")),
        (ABSENT, UNREAD, ("False", "SecretNotFound")),
        (FORBIDDEN, ABSENT, ("False", "SecretNotFound")),
        (UNREAD, FORBIDDEN, ("False", "SecretForbidden")),
        (SecretRead({"token": b"x"}), UNREAD, ("Unknown", "SecretUnreadable")),
    ],
)
def test_the_worst_of_several_secrets_is_told(first: SecretRead, second: SecretRead, refs: tuple[str, str]) -> None:
    backends = [backend("a", "first"), backend("b", "second")]
    found = judged(config(backends=backends), secrets={"first": first, "second": second})
    assert short(found)["ResolvedRefs"] == refs
    assert short(found)["Ready"] == ("False", refs[1])


def test_suspended_is_ready_and_says_so() -> None:
    assert short(judged(config(suspend=True)))["Ready"] == ("True", "Suspended")


def test_without_backends_nothing_is_ready() -> None:
    manifest = config()
    manifest["spec"] = {"logLevel": "Info"}
    found = judged(manifest)
    assert short(found)["Ready"] == ("False", "NoBackends")
    assert "nowhere to go" in found["Ready"].message


def test_a_config_that_no_pod_gets_says_why() -> None:
    young = config("young")
    young["metadata"]["creationTimestamp"] = "2026-02-01T00:00:00Z"
    found = judged(young, config("old"))
    assert short(found)["Ready"] == ("False", "Shadowed")
    assert "older old" in found["Ready"].message
    assert short(judged(config("old"), young))["Ready"] == ("True", "Published")
    narrow = config("narrow", selector={"matchLabels": {"a": "b"}})
    assert short(judged(narrow, config("old")))["Ready"] == ("True", "Published")


def test_a_failed_write_says_what_failed() -> None:
    found = judged(config(), outcome=Outcome("patch secrets shop/tracekeeper-policy: quota (HTTP 403)"))
    assert short(found)["Ready"] == ("False", "PublishFailed")
    assert "quota" in found["Ready"].message


def test_a_policy_that_is_too_large() -> None:
    huge = {"tempo": SecretRead({"token": b"x" * 1_100_000})}
    found = judged(config(backends=[backend("a", "tempo")]), secrets=huge)
    assert short(found)["Ready"] == ("False", "PolicyTooLarge")


def test_messages_are_bounded() -> None:
    many: dict[str, Any] = {f"field{number}": 1 for number in range(500)}
    found = judged(config(**many))["Accepted"]
    assert len(found.message) <= MAX_MESSAGE
    assert found.message.endswith("until they are mended")


def whole(manifest: dict[str, Any], now: float, problem: str = "") -> dict[str, Any]:
    outcome = Outcome(problem)
    decided = plan("shop", assess([manifest], None), {}, Published(None), floor=0, now=NOW)
    found = conditions(decided.configs[0], decided, {}, outcome, now=NOW)
    return status(decided.configs[0], decided, found, outcome, now)


def test_a_status_is_stable_and_its_times_move_with_changes() -> None:
    manifest = config(generation=4)
    first = whole(manifest, NOW)
    assert first["observedGeneration"] == 4
    assert {item["observedGeneration"] for item in first["conditions"]} == {4}
    assert first["policy"]["revision"] == int(NOW)
    assert first["policy"]["current"].startswith("sha256:")
    manifest["status"] = first
    assert whole(manifest, NOW + 3600) == first
    failed = whole(manifest, NOW + 3600, "no")
    times = {item["type"]: item["lastTransitionTime"] for item in failed["conditions"]}
    assert times == {
        "Accepted": "2027-01-15T08:00:00Z",
        "ResolvedRefs": "2027-01-15T08:00:00Z",
        "Ready": "2027-01-15T09:00:00Z",
    }
    assert "policy" not in failed


@pytest.mark.parametrize("odd", [None, [], {"conditions": "x"}, {"conditions": [None, {}]}, {"policy": 3}])
def test_a_status_that_somebody_else_wrote_does_no_harm(odd: Any) -> None:
    manifest = {**config(), "status": odd}
    assert [item["status"] for item in whole(manifest, NOW)["conditions"]] == ["True", "True", "True"]
    assert known_revision([manifest]) == 0


def test_knows_the_highest_revision() -> None:
    assert known_revision([{"status": {"policy": {"revision": 5}}}, {"status": {"policy": {"revision": 9}}}, {}]) == 9


@pytest.mark.parametrize("reason", list(Reason))
def test_every_reason_is_documented(reason: Reason) -> None:
    assert f"`{reason}`" in DOCS.read_text()
