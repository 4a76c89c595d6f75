"""A new version of an entry that some pods try: who does, and what sidecars that know nothing of it do."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from spec_cases import BACKEND
from tracekeeper_sidecar.clock import SystemClock
from tracekeeper_sidecar.control.source import Instruction, PolicySource
from tracekeeper_sidecar.control.watcher import Watcher
from tracekeeper_sidecar.errors import PolicyError
from tracekeeper_spec.candidate import PLACES, Candidate, Halted, digest_of, place_of
from tracekeeper_spec.policy import PolicyDocument, PolicyEntry

OLD: dict[str, Any] = {"backends": [BACKEND]}
NEW: dict[str, Any] = {"backends": [{**BACKEND, "name": "b"}]}
KEYED: dict[str, Any] = {
    "backends": [
        {
            **BACKEND,
            "otlp": {
                **BACKEND["otlp"],
                "auth": {"type": "Bearer", "bearer": {"secretKeyRef": {"name": "new", "key": "token"}}},
            },
        }
    ]
}
HALTED = Halted(2, ("shop/a@2",), digest_of(NEW), 5, "SidecarCrash", "it ended")


def candidate(below: int = PLACES, spec: dict[str, Any] | None = None) -> Candidate:
    new = NEW if spec is None else spec
    return Candidate(new, 2, ("shop/a@2",), {}, digest_of(new), below, 1)


def entry(**more: Any) -> PolicyEntry:
    return PolicyEntry("a", "shop", "u", 1, "2026", OLD, sources=("shop/a@1",), **more)


def read(tmp_path: Path, uid: str | None, *entries: PolicyEntry) -> tuple[list[str], str]:
    """Names of the backends that the pod has, and the digest that it tells."""
    (tmp_path / "policy.json").write_text(PolicyDocument(7, entries).to_json())
    (tmp_path / "labels").write_text("")
    if uid is not None:
        (tmp_path / "uid").write_text(uid)
    instruction = PolicySource(str(tmp_path / "policy.json"), str(tmp_path)).read()
    assert instruction is not None
    return [each.name for each in instruction.spec.backends], instruction.digest


def test_a_pod_below_tries_the_candidate_and_says_so(tmp_path: Path) -> None:
    place = place_of(digest_of(NEW), "pod")
    assert read(tmp_path, "pod\n", entry(candidate=candidate(place + 1))) == (["b"], digest_of(NEW))


def test_all_others_go_on_with_what_is_known_to_work(tmp_path: Path) -> None:
    tried = entry(candidate=candidate(place_of(digest_of(NEW), "pod")))
    assert read(tmp_path, "pod", tried) == (["a"], PolicyDocument(7, (tried,)).digest)


@pytest.mark.parametrize("uid", [None, ""])
def test_who_does_not_know_its_uid_tries_nothing(tmp_path: Path, uid: str | None) -> None:
    assert read(tmp_path, uid, entry(candidate=candidate()))[0] == ["a"]


@pytest.mark.parametrize("laid_over", [{}, {"suspend": True}])
async def test_who_refuses_the_candidate_has_what_works_and_says_why(tmp_path: Path, laid_over: dict[str, Any]) -> None:
    """As where the operator is newer. The kill switch is laid over both."""
    strange = candidate(spec={**NEW, **laid_over, "novelty": {"x": 1}})
    tried = replace(entry(candidate=strange), spec={**OLD, **laid_over})
    assert read(tmp_path, "pod", tried) == (["a"], PolicyDocument(7, (tried,)).digest)
    applied: list[Instruction] = []

    async def apply(instruction: Instruction) -> None:
        applied.append(instruction)

    watcher = Watcher(PolicySource(str(tmp_path / "policy.json"), str(tmp_path)), apply, SystemClock(), 1.0)
    await watcher.look()
    assert [each.spec.suspend for each in applied] == [bool(laid_over)]
    assert len(watcher.state.faults) == 1 and "novelty" in watcher.state.faults[0]
    (tmp_path / "policy.json").write_text(PolicyDocument(8, (replace(tried, candidate=None),)).to_json())
    await watcher.look()
    assert len(applied) == 2 and not watcher.state.faults


def test_where_neither_can_be_read_the_policy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PolicyError, match="novelty"):
        read(tmp_path, "pod", replace(entry(candidate=candidate(spec={"novelty": 2})), spec={"novelty": 1}))


def test_what_was_halted_is_not_tried(tmp_path: Path) -> None:
    assert read(tmp_path, "pod", entry(halted=HALTED))[0] == ["a"]


def test_a_retired_entry_has_nothing_to_try() -> None:
    gone = entry(candidate=candidate(), retired=True)
    assert gone.trial is None and gone.taken_by("pod") is gone


@pytest.mark.parametrize(
    "strange", [7, [], {}, {"spec": 7}, {**candidate().written(), "below": -1}, {**candidate().written(), "digest": 1}]
)
def test_what_cannot_be_read_is_not_tried_and_takes_nothing_down(tmp_path: Path, strange: object) -> None:
    text = json.loads(PolicyDocument(7, (entry(candidate=candidate(), halted=HALTED),)).to_json())
    text["configs"][0] |= {"candidate": strange, "halted": strange}
    document = PolicyDocument.from_json(json.dumps(text))
    assert document.configs == (entry(),)


def test_a_sidecar_of_before_reads_the_entry_as_it_was() -> None:
    """What it has always asked of an entry is there, and is what all others have."""
    plain, tried = (
        json.loads(PolicyDocument(7, (each,)).to_json())["configs"][0]
        for each in (entry(), entry(candidate=candidate()))
    )
    assert {key: value for key, value in tried.items() if key != "candidate"} == plain


def test_the_last_good_policy_has_one_digest_while_something_is_tried() -> None:
    before, during = PolicyDocument(1, (entry(),)), PolicyDocument(2, (entry(candidate=candidate()),))
    assert during.digest != before.digest == during.last_good == before.last_good
    assert PolicyDocument(3, (entry(halted=HALTED),)).last_good == before.digest


def test_a_share_of_the_pods_is_below() -> None:
    digest = digest_of(NEW)
    among = sum(place_of(digest, f"pod-{number}") < PLACES // 10 for number in range(10_000))
    assert 850 < among < 1150
    assert place_of(digest, "pod-1") != place_of(digest_of(OLD), "pod-1"), "not always the same pods"


@pytest.mark.parametrize("part", [{"suspend": True}, {"selector": {}}, {"sidecar": {"drainTimeout": "5s"}}])
def test_what_comes_to_all_at_once_is_not_part_of_what_is_tried(part: dict[str, Any]) -> None:
    assert digest_of({**NEW, **part}) == digest_of(NEW)
    assert digest_of({**NEW, "logLevel": "Debug"}) != digest_of(NEW)


def test_an_entry_needs_the_secrets_of_both() -> None:
    assert {use.name for _, use in entry(candidate=candidate(spec=KEYED)).secrets} == {"new"}
    assert not entry().secrets
    assert not replace(entry(candidate=candidate(spec=KEYED))).proven.secrets
