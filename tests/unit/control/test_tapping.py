"""One tap by some sidecars, without a network: who is heard, and when it is enough."""

from __future__ import annotations

from dataclasses import dataclass, field

from tracekeeper_operator.control.errand import ANSWER, GONE, GRACE, NOT_ENDED, SILENT
from tracekeeper_operator.control.tapping import Tapping
from tracekeeper_operator.control.tokens import PodIdentity
from tracekeeper_proto.control.v1 import control_pb2 as pb

NOW, SECONDS = 1000.0, 60.0


@dataclass
class Stream:
    """A sidecar's, as the control server would hold it."""

    identity: PodIdentity
    told: list[pb.ToSidecar] = field(default_factory=list)

    def send(self, message: pb.ToSidecar) -> None:
        self.told.append(message)

    @property
    def kinds(self) -> list[str | None]:
        return [message.WhichOneof("message") for message in self.told]


def stream(number: int = 1) -> Stream:
    return Stream(PodIdentity("shop", f"app-{number}", f"uid-{number}", "default"))


def tapping(*sidecars: Stream, spans: int = 5) -> Tapping:
    asked = pb.TapRequest(namespace="shop", config="agents", spans=spans, seconds=SECONDS)
    return Tapping("t1", asked, sidecars, 9, NOW)


def state(spans: int = 0, *, running: bool = True, problem: str = "") -> pb.TapState:
    return pb.TapState(id="t1", running=running, request=b"x" * spans, spans=spans, problem=problem)


def shown(found: Tapping) -> list[tuple[str, int]]:
    return [(progress.pod, progress.state.spans) for progress in found.news() if progress.state.spans]


def over(found: Tapping) -> bool:
    return found.done


def problems(found: Tapping) -> dict[str, str]:
    return {progress.pod: progress.state.problem for progress in found.news() if progress.state.problem}


def test_it_is_done_when_there_is_enough_and_the_others_are_told_to_end() -> None:
    one, two = stream(1), stream(2)
    found = tapping(one, two)
    assert [(each.sidecars, each.attached, each.state.running) for each in found.news()] == [(2, 9, True)] * 2
    found.take(one, state(2))
    found.take(two, state(2, running=False))
    assert not over(found)
    found.take(one, state(2))
    assert over(found)
    found.take(one, state(2))
    assert shown(found) == [("app-1", 2), ("app-2", 2), ("app-1", 2)]
    assert found.shown == 6
    found.stop()
    assert (one.kinds, two.kinds) == (["tap", "tap_stop"], ["tap"])


def test_it_is_done_when_all_have_ended() -> None:
    one, two = stream(1), stream(2)
    found = tapping(one, two)
    found.take(one, state(running=False))
    assert not over(found)
    found.take(two, state(running=False, problem="x" * 5000))
    assert over(found)
    assert len(problems(found)["app-2"]) == 1000


def test_who_was_not_asked_or_has_ended_or_has_another_stream_is_not_heard() -> None:
    one, again, other = stream(1), stream(1), stream(3)
    found = tapping(one)
    found.take(other, state(1))
    found.take(again, state(1))
    found.take(one, state(1, running=False))
    found.take(one, state(1))
    assert shown(found) == [("app-1", 1)]


def test_who_is_gone_or_silent_or_does_not_end_is_given_up() -> None:
    streams = [stream(number) for number in (1, 2, 3)]
    endless = streams[2]
    found = tapping(*streams)
    found.take(endless, state())
    found.look(streams[1:], NOW + ANSWER - 1)
    assert problems(found) == {"app-1": GONE}
    found.look(streams[1:], NOW + ANSWER)
    assert problems(found) == {"app-2": SILENT}
    found.look(streams[1:], NOW + SECONDS + GRACE - 1)
    assert not over(found)
    found.look(streams[1:], NOW + SECONDS + GRACE)
    assert problems(found) == {"app-3": NOT_ENDED}
    assert over(found)
    assert [each.kinds[-1] for each in streams] == ["tap_stop"] * 3


def test_a_stream_that_took_the_place_of_another_is_another() -> None:
    one, again = stream(1), stream(1)
    found = tapping(one)
    found.look([again], NOW + 1)
    assert problems(found) == {"app-1": GONE}
