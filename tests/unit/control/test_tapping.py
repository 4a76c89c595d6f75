"""One tap by some sidecars, without a network: who is heard, and when it is enough."""

from __future__ import annotations

import pytest

from held_stream import Stream, stream
from tracekeeper_operator.control.errand import ANSWER, GONE, GRACE, NOT_ENDED, SILENT
from tracekeeper_operator.control.gate import Asker, Refused, check_room
from tracekeeper_operator.control.messages import BadMessage, read
from tracekeeper_operator.control.tapping import MOST_WAITING, Tapping
from tracekeeper_proto.control.v1 import control_pb2 as pb

NOW, SECONDS = 1000.0, 60.0


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


def waiting(found: Tapping) -> int:
    """Bytes that are in memory until somebody reads."""
    return sum(progress.ByteSize() for progress in found._news.values())


def test_of_what_nobody_reads_there_is_never_more_than_so_much() -> None:
    streams = [stream(number) for number in range(20)]
    found = tapping(*streams, spans=1000)
    for number in range(400):
        for each in streams:
            found.take(each, pb.TapState(id="t1", running=True, problem="\U0001f600" * 1000, looked_at=number))
    assert len(found._news) == 20 and waiting(found) < 20 * 5000
    for _ in range(20_000):
        found.take(streams[0], pb.TapState(id="t1", running=True, request=b"x"))
    for number in range(40):
        found.take(streams[1], pb.TapState(id="t1", running=True, request=bytes(1 << 20), spans=1, looked_at=number))
    assert waiting(found) < MOST_WAITING + 20 * 5000
    assert len(found._news) <= MOST_WAITING // 1000
    last = {progress.pod: progress.state for progress in found.news()}
    assert last["app-1"].looked_at == 39 and last["app-1"].passed_over > 30
    assert last["app-5"].looked_at == 399
    assert found._waiting == 0 and not list(found.news())


def test_what_is_not_read_yet_counts_as_waiting_while_more_comes() -> None:
    found = tapping(stream(1), spans=1000)
    one = next(iter(found._errands.values())).sidecar
    for _ in range(7):
        found.take(one, pb.TapState(id="t1", running=True, request=bytes(1 << 20), spans=1))
    news = found.news()
    for _ in range(2):
        next(news)
    for _ in range(7):
        found.take(one, pb.TapState(id="t1", running=True, request=bytes(1 << 20), spans=1))
    assert waiting(found) < MOST_WAITING + 5000
    assert found.shown < 14


def test_nothing_that_is_not_known_stays_in_memory() -> None:
    unknown = pb.TapState(id="t1", running=True).SerializeToString() + b"\xfa\x3e\x80\x80\x04" + bytes(1 << 16)
    size = bytes([len(unknown) & 127 | 128, len(unknown) >> 7 & 127 | 128, len(unknown) >> 14])
    kind = pb.FromSidecar(tap=pb.TapState()).SerializeToString()[:1]
    found = read(kind + size + unknown)
    assert found.tap.id == "t1" and found.ByteSize() < 100
    for told in (
        pb.FromSidecar(tap=pb.TapState(id="t1", problem="x" * 100_000)),
        pb.FromSidecar(dump=pb.DumpState(id="t1", problem="x" * 100_000)),
        pb.FromSidecar(
            test=pb.TestState(
                id="t1",
                trace_id=bytes(100_000),
                delivery=[pb.TestEntry(name="x" * 5000, outcome="x" * 5000, backend="x" * 5000, words="x" * 5000)] * 50,
            )
        ),
    ):
        assert read(told.SerializeToString()).ByteSize() < 60_000


@pytest.mark.parametrize(
    "told", [pb.FromSidecar(tap=pb.TapState(passed_over=1 << 60)), pb.FromSidecar(dump=pb.DumpState(id="x" * 300))]
)
def test_what_no_sidecar_says_of_an_errand_is_refused(told: pb.FromSidecar) -> None:
    with pytest.raises(BadMessage):
        read(told.SerializeToString())


def test_nobody_and_no_namespace_takes_all_that_may_be_under_way() -> None:
    mine = Asker("shop", "alice")
    check_room("taps", 8, [mine, Asker("bank", "bob")], mine)
    for under_way, said in (
        ([mine, Asker("shop", "bob")], "2 taps are under way in namespace shop"),
        ([mine, Asker("bank", "alice")], "2 taps are under way for alice"),
        ([Asker(f"ns{number}", f"{number}") for number in range(8)], "8 taps are under way: wait"),
    ):
        with pytest.raises(Refused, match=said):
            check_room("taps", 8, under_way, mine)
