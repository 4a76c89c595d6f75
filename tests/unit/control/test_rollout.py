"""How a changed entry comes to the pods, one step at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from spec_cases import BACKEND
from tracekeeper_operator.pod_seen import PodSeen
from tracekeeper_operator.rollout import Phase, Step, Why, step
from tracekeeper_operator.verdict import LATE
from tracekeeper_spec.config import Section
from tracekeeper_spec.policy import PolicyEntry

NOW = 1_800_000_000.0
ROLLOUT: dict[str, Any] = {"canaryPercent": 10, "observeFor": "5m"}
PODS = tuple(PodSeen(f"uid-{number}", f"pod-{number}", attached=True, able=True) for number in range(20))


def backend(name: str = "a", endpoint: str = "http://127.0.0.1:4317") -> dict[str, Any]:
    return {**BACKEND, "name": name, "otlp": {"protocol": "GRPC", "endpoint": endpoint}}


def entry(generation: int = 1, rollout: dict[str, Any] | None = ROLLOUT, **spec: Any) -> PolicyEntry:
    operator = {"rollout": rollout} if rollout is not None else {}
    body = {"backends": [backend()], **spec}
    return PolicyEntry(
        "agents", "shop", "u", generation, "2026", body, sources=(f"shop/agents@{generation}",), operator=operator
    )


def go(
    fresh: PolicyEntry,
    old: PolicyEntry | None,
    pods: tuple[PodSeen, ...] | None = PODS,
    *,
    now: float = NOW,
    held: bool = True,
    fixed: tuple[Section, ...] = (),
    seen: bool = True,
) -> Step:
    look = (lambda: pods) if seen else None
    gone = () if held else ("shop/agents",)
    return step(fresh, old, fixed=fixed, withdrawn=lambda _: gone, look=look, now=now)


NEW = entry(2, logLevel="Debug")


def run(entry: PolicyEntry, pods: tuple[PodSeen, ...] = PODS, **more: Any) -> tuple[PodSeen, ...]:
    """Those that try it run it; `more` is what they say."""
    new = entry.candidate
    assert new is not None
    return tuple(replace(pod, digest=new.digest, **more) if new.takes(pod.uid) else pod for pod in pods)


def told(taken: Step) -> tuple[Phase, Why]:
    assert taken.state is not None
    return taken.state.phase, taken.state.why


def test_a_change_is_tried_by_some_while_all_others_keep_what_works() -> None:
    first = go(NEW, entry())
    assert told(first) == (Phase.PROGRESSING, Why.WAITING)
    assert first.entry.proven == replace(entry(), operator=NEW.operator)
    new = first.entry.candidate
    assert new is not None and (new.spec, new.generation, new.started) == (NEW.spec, 2, NOW)
    tried = [pod for pod in PODS if new.takes(pod.uid)]
    assert 1 <= len(tried) <= 6 and first.state is not None and first.state.canaries == len(tried)


def test_it_is_in_effect_when_it_has_done_well_for_long_enough() -> None:
    first = go(NEW, entry()).entry
    second = go(NEW, first, run(first), now=NOW + 30)
    assert told(second) == (Phase.PROGRESSING, Why.OBSERVING)
    assert second.entry.candidate is not None and second.entry.candidate.observed == NOW + 30
    third = go(NEW, second.entry, run(first), now=NOW + 329)
    assert third.entry == second.entry, "nothing is written while nothing happens"
    last = go(NEW, third.entry, run(first), now=NOW + 330)
    assert last.entry == NEW and told(last) == (Phase.COMPLETE, Why.OBSERVED)
    assert last.state is not None and last.state.previous is not None and last.state.previous.generation == 1
    assert go(NEW, last.entry).entry == NEW


def test_what_nobody_runs_never_completes() -> None:
    first = go(NEW, entry()).entry
    later = go(NEW, first, PODS, now=NOW + 10_000)
    assert later.entry == first and told(later) == (Phase.PROGRESSING, Why.WAITING)
    assert later.state is not None and "too old" in later.state.message
    seen = go(NEW, first, run(first)).entry
    assert go(NEW, seen, PODS, now=NOW + 10_000).entry.candidate is not None, "they are away"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"failing": {"b": "connection refused"}}, Why.DELIVERY),
        ({"crashed_at": NOW + 31, "crash": "OOMKilled, exit code 137"}, Why.CRASH),
        ({"dropped_at": NOW + 60}, Why.DELIVERY),
    ],
)
def test_what_canaries_suffer_takes_it_back(more: dict[str, Any], why: Why) -> None:
    new = entry(2, backends=[backend(), backend("b")])
    first = go(new, entry()).entry
    running = go(new, first, run(first), now=NOW + 30).entry
    halted = go(new, running, run(running, **more), now=NOW + 61)
    assert told(halted) == (Phase.HALTED, why)
    assert halted.entry.proven == first.proven and halted.entry.candidate is None and halted.entry.halted is not None
    assert halted.state is not None and halted.state.news and halted.state.previous is not None
    again = go(new, halted.entry, PODS, now=NOW + 9999)
    assert again.entry == halted.entry and told(again) == (Phase.HALTED, why) and not again.state.news  # type: ignore[union-attr]
    other = entry(3, backends=[backend(), backend("b")])
    assert told(go(other, again.entry))[0] is Phase.PROGRESSING, "a new generation is tried again"
    undone = go(replace(entry(3), spec=entry().spec), again.entry)
    assert undone.entry.halted is None and told(undone) == (Phase.COMPLETE, Why.UNCHANGED)


def test_a_sidecar_that_refuses_it_takes_it_back() -> None:
    first = go(NEW, entry()).entry
    assert first.candidate is not None
    refusing = tuple(replace(pod, refused="no such field") if first.candidate.takes(pod.uid) else pod for pod in PODS)
    assert told(go(NEW, first, refusing)) == (Phase.HALTED, Why.REFUSED)


@pytest.mark.parametrize(
    ("halt_on", "more"),
    [
        (["SidecarCrash"], {"failing": {"b": "refused"}}),
        (["DeliveryFailure"], {"crashed_at": NOW + 201}),
        ([], {"crashed_at": NOW + 201}),
    ],
)
def test_only_what_is_asked_for_halts(halt_on: list[str], more: dict[str, Any]) -> None:
    new = entry(2, {**ROLLOUT, "haltOn": halt_on}, backends=[backend("b")])
    first = go(new, entry()).entry
    assert told(go(new, first, run(first, **more)))[0] is Phase.PROGRESSING


def test_a_backend_that_is_another_one_now_is_not_compared() -> None:
    elsewhere = entry(2, backends=[backend("a", "http://127.0.0.1:1")])
    peers = tuple(replace(pod, failing={"a": "connection refused"}) for pod in PODS)
    moved = go(elsewhere, entry(), peers).entry
    assert told(go(elsewhere, moved, run(moved, peers))) == (Phase.HALTED, Why.DELIVERY)


def test_one_pod_among_many_is_chance() -> None:
    pods = tuple(replace(PODS[0], uid=f"u{number}") for number in range(200))
    wide = entry(2, {**ROLLOUT, "canaryPercent": 50}, backends=[backend("b")])
    first = go(wide, entry(), pods).entry
    seen = list(run(first, pods))
    index = next(number for number, pod in enumerate(seen) if pod.digest)
    seen[index] = replace(seen[index], failing={"b": "timeout"})
    assert told(go(wide, first, tuple(seen)))[0] is Phase.PROGRESSING
    assert told(go(wide, first, run(first, pods, failing={"b": "timeout"})))[0] is Phase.HALTED


@pytest.mark.parametrize(
    ("case", "why"),
    [
        ({"pods": ()}, Why.NO_PODS),
        ({"held": False}, Why.NOT_HELD),
        ({"seen": False}, Why.BLIND),
    ],
)
def test_where_nothing_can_be_tried_it_comes_at_once(case: dict[str, Any], why: Why) -> None:
    taken = go(NEW, entry(), **case)
    assert taken.entry == NEW and told(taken) == (Phase.COMPLETE, why)


def test_without_the_section_it_comes_at_once() -> None:
    plain = entry(2, None, logLevel="Debug")
    assert go(plain, entry()) == Step(plain)
    trying = go(NEW, entry()).entry
    assert go(plain, trying) == Step(plain), "who takes the section away wants it now"


def test_pods_that_are_not_known_yet_change_nothing() -> None:
    trying = go(NEW, entry()).entry
    assert go(NEW, trying, None, now=NOW + 9999).entry == trying
    assert go(NEW, entry(), None).entry.candidate is not None


@pytest.mark.parametrize(
    "part", [{"suspend": True}, {"selector": {"matchLabels": {"a": "b"}}}, {"sidecar": {"drainTimeout": "9s"}}]
)
def test_what_must_not_wait_comes_to_all(part: dict[str, Any]) -> None:
    alone = go(entry(2, **part), entry())
    assert alone.entry == entry(2, **part)
    trying = go(entry(2, logLevel="Debug", **part), entry())
    assert trying.entry.candidate is not None
    assert {key: trying.entry.spec[key] for key in part} == part
    assert "logLevel" not in trying.entry.spec


def test_what_is_enforced_comes_to_all() -> None:
    new = replace(entry(2, logLevel="Debug", buffer={"whenFull": "DropOldest"}), origins={"buffer": "obs/root"})
    taken = go(new, entry(), fixed=(Section.BUFFER,))
    assert taken.entry.spec == {**entry().spec, "buffer": {"whenFull": "DropOldest"}}
    assert taken.entry.origins == new.origins and taken.entry.candidate is not None


def test_what_does_not_go_together_comes_to_all() -> None:
    old = entry(1, delivery=[{"name": "d", "backends": ["a"]}])
    new = entry(2, backends=[backend("b")], delivery=[{"name": "d", "backends": ["b"]}])
    assert told(go(new, old, fixed=(Section.BACKENDS,))) == (Phase.COMPLETE, Why.NOT_HELD)


def chosen(entry: PolicyEntry, pods: Sequence[PodSeen]) -> list[PodSeen]:
    new = entry.candidate
    assert new is not None
    return [pod for pod in pods if new.takes(pod.uid)]


def test_somebody_always_tries_it() -> None:
    one = entry(2, {**ROLLOUT, "canaryPercent": 1}, logLevel="Debug")
    for count in (1, 2, 3):
        assert chosen(go(one, entry(), PODS[:count]).entry, PODS[:count])
    old = tuple(replace(pod, able=False) for pod in PODS[:19])
    assert PODS[19] in chosen(go(one, entry(), (*old, PODS[19])).entry, PODS), "one that knows how to"
    assert chosen(go(one, entry(), old).entry, old), "there is nobody else"
    half = entry(2, {**ROLLOUT, "canaryPercent": 50}, logLevel="Debug")
    assert len(chosen(go(entry(2, {**ROLLOUT, "canaryPercent": 100}, logLevel="Debug"), entry()).entry, PODS)) == 20
    trying = go(half, entry()).entry
    assert chosen(go(one, trying).entry, PODS) == chosen(trying, PODS), "nobody changes back and forth"


def test_sidecars_that_come_back_one_by_one_make_no_more_canaries() -> None:
    """After a restart of the controller."""
    many = tuple(PodSeen(f"uid-{number}", f"pod-{number}", attached=True, able=True) for number in range(100))
    away = tuple(replace(pod, attached=False, able=False) for pod in many)
    trying = go(NEW, entry(), many).entry
    count = len(chosen(trying, many))
    for number in range(0, 100, 9):
        first = (*away[:number], many[number], *away[number + 1 :])
        assert go(NEW, trying, first, now=NOW + 2).entry == trying
        later = go(NEW, trying, first, now=NOW + LATE).entry
        assert len(chosen(later, many)) <= count + 1 and many[number] in chosen(later, many), "those are late"
        begun = go(NEW, entry(), first).entry
        assert len(chosen(begun, many)) <= count, "nor if it begins then"


def test_pods_one_after_the_other_make_no_more_canaries_of_those_that_come_later() -> None:
    trying = entry()
    for number in range(10):
        pod = PodSeen(f"job-{number}", "job", attached=True, able=True)
        trying = go(NEW, trying, (pod,), now=NOW + 10 * number).entry
        assert chosen(trying, [pod])
    later = [PodSeen(f"uid-{number}", "pod") for number in range(1000)]
    assert len(chosen(trying, later)) < 150


@pytest.mark.parametrize("observed", [False, True])
def test_no_pod_for_a_moment_puts_nothing_in_effect(observed: bool) -> None:
    trying = go(NEW, entry()).entry
    if observed:
        trying = go(NEW, trying, run(trying), now=NOW + 30).entry
    for later in (40, 9999):
        gone = go(NEW, trying, (), now=NOW + later)
        assert gone.entry.proven == trying.proven and told(gone) == (Phase.PROGRESSING, Why.WAITING)
        assert gone.state is not None and "no pod is known" in gone.state.message
    back = replace(PODS[0], uid="another")
    again = go(NEW, gone.entry, (back,), now=NOW + 9999).entry
    assert chosen(again, [back]), "the one that comes tries it"
    crashed = replace(run(again, (back,))[0], failing={"a": "refused"}, crashed_at=NOW + 10_000, crash="Error")
    assert told(go(NEW, again, (crashed,), now=NOW + 10_001))[0] is Phase.HALTED


@pytest.mark.parametrize("ran", [False, True])
def test_a_clock_that_was_ahead_blinds_nobody(ran: bool) -> None:
    ahead = NOW + 86_400
    trying = go(NEW, entry(), now=ahead).entry
    if ran:
        trying = go(NEW, trying, run(trying), now=ahead).entry
    right = go(NEW, trying, run(trying), now=NOW).entry
    assert right.candidate is not None and (right.candidate.started, right.candidate.observed) == (NOW, NOW)
    dropping = run(right, dropped_at=NOW + 5)
    assert told(go(NEW, right, dropping, now=NOW + 10)) == (Phase.HALTED, Why.DELIVERY)
    crashing = run(right, crashed_at=NOW + 5, crash="Error")
    assert told(go(NEW, right, crashing, now=NOW + 10)) == (Phase.HALTED, Why.CRASH)
    assert told(go(NEW, right, run(right), now=NOW + 300)) == (Phase.COMPLETE, Why.OBSERVED)


def halted() -> PolicyEntry:
    trying = go(NEW, entry()).entry
    return go(NEW, trying, run(trying, crashed_at=NOW + 201, crash="Error"), now=NOW + 2).entry


def test_what_was_halted_is_remembered_while_what_works_is_frozen() -> None:
    """As when the document is too large for a round, or the config has faults when another controller begins."""
    before = halted()
    frozen = go(replace(entry(), operator=NEW.operator), before, now=NOW + 10)
    assert frozen.entry.halted == before.halted and told(frozen) == (Phase.HALTED, Why.CRASH)
    assert frozen.state is not None and not frozen.state.news
    assert told(go(NEW, frozen.entry, now=NOW + 20)) == (Phase.HALTED, Why.CRASH)


def test_what_was_halted_is_tried_again_only_when_something_else_was_said() -> None:
    lent = replace(NEW, sources=(*NEW.sources, "obs/root@8"))
    before = go(lent, entry()).entry
    before = go(lent, before, run(before, crashed_at=NOW + 201, crash="Error"), now=NOW + 2).entry
    unrelated = replace(NEW, sources=(*NEW.sources, "obs/root@9"))
    assert told(go(unrelated, before, now=NOW + 10)) == (Phase.HALTED, Why.CRASH)
    mended = replace(unrelated, spec=entry().spec)
    good = go(mended, before, now=NOW + 20)
    assert good.entry.halted is None and told(good) == (Phase.COMPLETE, Why.UNCHANGED)
    again = replace(NEW, sources=(*NEW.sources, "obs/root@10"))
    assert told(go(again, good.entry, now=NOW + 30)) == (Phase.PROGRESSING, Why.WAITING)
