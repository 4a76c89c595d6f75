"""Nothing is evicted over and over: a model of owners whose new pods may come without a sidecar."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

from hypothesis import example, given, settings
from hypothesis import strategies as st

from control_objects import StoodClock
from tracekeeper_operator.events import Owner
from tracekeeper_operator.pods import repair
from tracekeeper_operator.pods.attempts import GIVE_UP, Attempt, attempted
from tracekeeper_operator.pods.facts import PodFacts, read
from tracekeeper_operator.pods.findings import Missed

START = StoodClock().wall
STEP = 30.0
OWNERS = ("a", "b")


def pod(uid: int, owner: str) -> PodFacts:
    made = read({"metadata": {"name": f"pod-{uid}", "namespace": "shop", "uid": str(uid)}})
    owned = Owner("apps/v1", "ReplicaSet", "shop", owner, owner)
    return PodFacts(**{name: getattr(made, name) for name in made.__slots__} | {"owner": owned})


class World:
    """Owners and their pods: those without a sidecar, those with one, and what a sweep has found last."""

    def __init__(self) -> None:
        self.bare: dict[int, PodFacts] = {}
        self.with_one: dict[int, PodFacts] = {}
        self.found: dict[int, PodFacts] = {}
        self.made = 0

    def make(self, owner: str, *, sidecar: bool) -> int:
        self.made += 1
        (self.with_one if sidecar else self.bare)[self.made] = pod(self.made, owner)
        return self.made

    def of(self, pods: dict[int, PodFacts], owner: str) -> frozenset[str]:
        return frozenset(each.uid for each in pods.values() if repair.owner_of(each) == owner)


FINDS: dict[str, Callable[[int], bool]] = {
    "nothing": lambda uid: False,
    "everything": lambda uid: True,
    "every other": lambda uid: uid % 2 == 0,
    "the others": lambda uid: uid % 2 == 1,
}
TURNS = st.lists(
    st.tuples(
        st.integers(1, 60),  # steps of half a minute
        st.booleans(),  # whether new pods get a sidecar
        st.sampled_from(sorted(FINDS)),  # which of the pods without one a sweep finds at the beginning
        st.sampled_from(["", *OWNERS]),  # who makes one more pod, as for an autoscaler
        st.booleans(),  # whether that gets a sidecar
    ),
    max_size=30,
)


@settings(max_examples=300)
@example(3, 0, 0, [(1, False, "the others", "", False), (1, False, "the others", "a", True)])
@example(3, 0, 5, [(10, False, "everything", "", False)])
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 40), TURNS)
def test_no_owner_loses_more_than_one_pod_an_hour_in_vain(
    first: int, second: int, slow: int, turns: list[tuple[int, bool, str, str, bool]]
) -> None:
    """Whatever the sweep finds, and however late. In vain is an eviction for which a pod without a sidecar comes, after
    `slow` steps. Autoscalers are there only where it comes at once.
    """
    world, attempts, now = World(), dict[str, Attempt](), START
    in_vain: dict[str, list[float]] = {owner: [] for owner in OWNERS}
    coming: list[tuple[float, str, float]] = []
    for owner, number in zip(OWNERS, (first, second), strict=True):
        for _ in range(number):
            world.make(owner, sidecar=False)
    for steps, helps, finds, more, more_helps in turns:
        world.found = {uid: each for uid, each in world.bare.items() if FINDS[finds](uid)}
        if more and not slow:
            world.make(more, sidecar=more_helps)
        for _ in range(steps):
            now += STEP
            gone = evict(world, attempts, now)
            if gone is not None:
                coming.append((now + slow * STEP, gone, now))
            for item in [each for each in coming if each[0] <= now]:
                coming.remove(item)
                world.make(item[1], sidecar=helps)
                if not helps:
                    in_vain[item[1]].append(item[2])
    for times in in_vain.values():
        assert all(later - earlier >= GIVE_UP for earlier, later in pairwise(sorted(times))), times


def evict(world: World, attempts: dict[str, Attempt], now: float) -> str | None:
    """As `Repair` does; whose pod it was."""

    def with_one(pod: PodFacts) -> frozenset[str]:
        return world.of(world.with_one, repair.owner_of(pod))

    known = {uid: each for uid, each in attempts.items() if not each.over(now)}
    items = [Missed(each, by_namespace=False) for each in world.found.values()]
    item = repair.choose(items, lambda pod: True, known, with_one, {}, now)
    if item is None:
        return None
    owner = repair.owner_of(item.pod)
    bare = world.of(world.bare, owner)
    before = known.get(owner)
    if before is not None:
        attempts[owner] = before = before.seen(bare)
        if before.in_vain:
            return None
    attempts[owner] = attempted(before, now, bare, with_one(item.pod))
    del world.bare[int(item.pod.uid)], world.found[int(item.pod.uid)]
    return owner


def test_an_attempt_that_helps_goes_on_and_one_that_is_over_begins_anew() -> None:
    attempt = attempted(None, START, frozenset({"1", "2"}), frozenset())
    assert not attempt.goes_on(frozenset())
    assert attempt.goes_on({"3"}) and attempt.seen({"2"}) == attempt
    assert not attempt.seen({"2", "4"}).goes_on({"3"})
    again = attempted(attempt, START + 30, frozenset({"2"}), frozenset({"3"}))
    assert again.bare == {"1", "2"} and not again.goes_on({"3"})
    assert again.over(START + 30 + GIVE_UP) and not again.over(START + GIVE_UP)
