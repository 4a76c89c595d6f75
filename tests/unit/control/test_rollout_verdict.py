"""What speaks against a policy that some pods try, and what only seems to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from spec_cases import BACKEND
from tracekeeper_operator.pod_seen import PodSeen
from tracekeeper_operator.verdict import LATE, REFUSED, STEADY, Judged, judge, refusals
from tracekeeper_spec.candidate import PLACES, Candidate, digest_of
from tracekeeper_spec.config import HaltOn
from tracekeeper_spec.policy import PolicyEntry

NOW = 1_800_000_000.0
STABLE = PolicyEntry("agents", "shop", "u", 1, "2026", {"backends": [{**BACKEND, "name": "a"}]})
SPEC: dict[str, Any] = {**STABLE.spec, "logLevel": "Debug"}
NEW = Candidate(SPEC, 2, (), {}, digest_of(SPEC), PLACES // 2, int(NOW), int(NOW) + 30)
ALL = [PodSeen(f"uid-{number}", f"pod-{number}", attached=True, able=True, looked=True) for number in range(20)]
RUNNING = [replace(pod, digest=NEW.digest) for pod in ALL if NEW.takes(pod.uid)]
PEERS = [replace(pod, digest="stable") for pod in ALL if not NEW.takes(pod.uid)]
AWAY = {"a": "connection refused"}


def why(pods: list[PodSeen], later: float = 100.0, new: Candidate = NEW, stable: PolicyEntry = STABLE) -> str | None:
    found = judge(new, stable, pods, NOW + later)
    return found.why if found is not None else None


def failing(pods: list[PodSeen], since: float) -> list[PodSeen]:
    return [replace(pod, failing=AWAY, failing_since={"a": NOW + since}) for pod in pods]


def crashed(pods: list[PodSeen], at: float) -> list[PodSeen]:
    return [replace(pod, crashed_at=NOW + at, crash="OOMKilled, exit code 137") for pod in pods]


def test_there_are_some_of_each() -> None:
    assert len(RUNNING) > 5 and len(PEERS) > 5 and why([*RUNNING, *PEERS]) is None


def test_an_outage_that_a_busy_canary_notices_first_is_not_held_against_it() -> None:
    seen = [*failing(RUNNING, 40), *PEERS]
    assert why(seen, 45) is None, "the others may be about to notice"
    assert why(seen, 40 + 10 * LATE) is None, "they send nothing, so they cannot"
    before = [*failing(RUNNING, 40), *(replace(pod, delivered_at={"a": NOW + 39}) for pod in PEERS)]
    assert why(before, 40 + STEADY) is None, "they have not sent anything since"
    assert why([*failing(RUNNING, 40), *failing(PEERS, 70)], 200) is None


def test_a_backend_that_takes_from_the_others_meanwhile_is_held_against_it() -> None:
    others = [replace(pod, delivered_at={"a": NOW + 41}) for pod in PEERS[:1]]
    seen = [*failing(RUNNING, 40), *others, *PEERS[1:]]
    assert why(seen, 40 + STEADY - 1) is None
    assert why(seen, 40 + STEADY) == HaltOn.DELIVERY_FAILURE
    assert why(seen, 400, replace(NEW, troubled=("a",))) is None, "it failed before this one came"
    unknown = [replace(pod, failing_since={}) for pod in seen]
    assert why(unknown, 400) is None, "since when is not known yet"


def test_only_deliveries_to_that_backend_count() -> None:
    delivery = [{"name": "all", "backends": ["a"]}, {"name": "other", "backends": ["b"]}]
    backends = [{**BACKEND, "name": name} for name in "ab"]
    stable = replace(STABLE, spec={"backends": backends, "delivery": delivery})
    spec = {**stable.spec, "logLevel": "Debug"}
    new = replace(NEW, spec=spec)
    for entry, found in (("all", HaltOn.DELIVERY_FAILURE), ("other", None)):
        peers = [replace(pod, delivered_at={entry: NOW + 60}) for pod in PEERS]
        assert why([*failing(RUNNING, 40), *peers], 100, new, stable) == found


def test_sidecars_that_crash_by_what_was_before_say_nothing() -> None:
    assert why([*crashed(RUNNING, 5), *PEERS]) is None, "none of them had run it"
    assert why([*crashed(RUNNING, 40), *crashed(PEERS, 20)]) is None, "the others do the same"
    old = [replace(pod, digest="stable") for pod in crashed(RUNNING, 40)]
    assert why([*old, *PEERS]) is None, "they run what was before"


def test_sidecars_that_crash_where_others_do_not_speak_against_it() -> None:
    assert why([*crashed(RUNNING[:1], 40), *RUNNING[1:], *PEERS]) == HaltOn.SIDECAR_CRASH
    assert why([*crashed(RUNNING, 40), *crashed(PEERS[:1], 20), *PEERS[1:]]) == HaltOn.SIDECAR_CRASH
    assert why(crashed(RUNNING[:1], 40)) == HaltOn.SIDECAR_CRASH, "there may be no others"
    gone = [replace(pod, attached=False, digest="") for pod in crashed(RUNNING, 40)]
    assert why([*gone, *PEERS]) == HaltOn.SIDECAR_CRASH, "who crashes is away"


def test_sidecars_that_crash_before_they_can_say_what_they_run_speak_against_it() -> None:
    new = replace(NEW, observed=0)
    gone = [replace(pod, attached=False, digest="") for pod in RUNNING]
    assert why([*crashed(gone, LATE - 1), *PEERS], LATE, new) is None
    assert why([*crashed(gone, LATE + 1), *PEERS], LATE + 2, new) == HaltOn.SIDECAR_CRASH


@pytest.mark.parametrize("halt_on", [[], [HaltOn.SIDECAR_CRASH], [HaltOn.DELIVERY_FAILURE]])
def test_what_is_refused_is_taken_back_in_any_case(halt_on: list[HaltOn]) -> None:
    everybody = [replace(pod, digest="stable", refused="no such field") for pod in ALL]
    found = judge(NEW, STABLE, everybody, NOW + 10)
    assert found is not None and found.why == REFUSED and found.halts(halt_on)
    assert Judged(HaltOn.SIDECAR_CRASH, "").halts(halt_on) == (HaltOn.SIDECAR_CRASH in halt_on)
    assert why([replace(pod, refused="no such field") for pod in RUNNING]) is None, "they run it"


def test_what_was_refused_before_is_not_held_against_what_may_mend_it() -> None:
    everybody = [replace(pod, digest="stable", refused="no such field") for pod in ALL]
    new = replace(NEW, refused=refusals(everybody))
    assert why(everybody, LATE - 1, new) is None, "it may not have come to them yet"
    assert why([*everybody[1:], replace(everybody[0], refused="another")], 10, replace(new, below=PLACES)) == REFUSED
    assert why(everybody, LATE, new) == REFUSED
