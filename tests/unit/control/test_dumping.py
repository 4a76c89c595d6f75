"""One dump by many sidecars, without a network: who is asked when, and who is given up why."""

from __future__ import annotations

from held_stream import stream
from tracekeeper_operator.control import dumping as module
from tracekeeper_operator.control.dumping import ANSWER, AT_ONCE, AWAY, GRACE, SILENCE, Dumping
from tracekeeper_proto.control.v1 import control_pb2 as pb

TIMEOUT = 600.0
NOW = 1000.0


def dumping() -> Dumping:
    asked = pb.DumpRequest(
        namespace="shop", config="agents", since_seconds=60, where="span.error", backend="a", timeout_seconds=TIMEOUT
    )
    return Dumping("d1", asked, NOW)


def state(*, running: bool = True, **fields: object) -> pb.DumpState:
    return pb.DumpState(id="d1", running=running, **fields)  # type: ignore[arg-type]


def over(found: Dumping) -> bool:
    return found.done


def last(found: Dumping) -> dict[str, pb.DumpState]:
    return {progress.pod: progress.state for progress in found.news()}


def test_all_are_asked_and_it_is_done_when_each_has_ended() -> None:
    one, two, found = stream(1), stream(2), dumping()
    found.look([one, two], NOW)
    for each in (one, two):
        (message,) = each.told
        command = message.dump
        assert (command.id, command.where, command.backend, command.forgotten) == ("d1", "span.error", "a", False)
        assert (command.since_seconds, command.timeout_seconds) == (60, TIMEOUT)
    assert not over(found)
    found.take(one, state(sent=3), NOW + 1)
    found.take(one, state(running=False, sent=5), NOW + 2)
    assert not over(found)
    found.take(two, state(running=False, sent=2, problem="time was up"), NOW + 3)
    assert over(found)
    assert (found.sent, found.sidecars, found.failed) == (7, 2, 1)
    assert {pod: known.sent for pod, known in last(found).items()} == {"app-1": 5, "app-2": 2}
    assert not found.news(), "nothing is told twice"
    found.stop()
    assert one.kinds == two.kinds == ["dump"], "who has ended is not told to end"


def test_a_pod_that_joins_is_asked_for_the_same_spans() -> None:
    one, two, found = stream(1), stream(2), dumping()
    found.look([one], NOW)
    found.take(one, state(), NOW + 15)
    found.look([one, two], NOW + 20)
    (message,) = two.told
    assert (message.dump.since_seconds, message.dump.timeout_seconds) == (80, TIMEOUT - 20)
    assert one.kinds == ["dump"]
    assert found.sidecars == 2


def test_a_pod_that_dies_is_given_up_and_not_asked_again_when_it_is_back_too_late() -> None:
    one, two, found = stream(1), stream(2), dumping()
    found.look([one, two], NOW)
    found.take(one, state(sent=7), NOW + 1)
    found.take(two, state(running=False), NOW + 1)
    found.look([two], NOW + 2)
    found.look([two], NOW + 1 + AWAY)
    assert not over(found)
    found.look([two], NOW + 2 + AWAY)
    assert over(found)
    known = last(found)["app-1"]
    assert (known.running, known.problem, known.sent) == (False, module.GONE, 7)
    back = stream(1)
    found.look([back, two], NOW + 3 + AWAY)
    assert back.told == []
    found.take(back, state(sent=99), NOW + 3 + AWAY)
    assert found.sent == 7, "it has been told about already"


def test_a_sidecar_that_comes_back_by_another_stream_goes_on() -> None:
    one, found = stream(1), dumping()
    found.look([one], NOW)
    found.take(one, state(sent=7), NOW + 1)
    found.look([], NOW + 2)
    back = stream(1)
    found.look([back], NOW + 1 + AWAY)
    (message,) = back.told
    assert (message.dump.id, message.dump.since_seconds) == ("d1", 61 + AWAY)
    found.take(one, state(running=False, sent=0), NOW + 2 + AWAY)
    assert not over(found), "the stream that it had before is not listened to"
    found.take(back, state(running=False, sent=9), NOW + 2 + AWAY)
    assert over(found)
    assert (found.sent, found.failed) == (9, 0)


def test_one_that_is_gone_before_its_turn_is_given_up_without_being_asked() -> None:
    streams, found = [stream(number) for number in range(AT_ONCE + 1)], dumping()
    found.look(streams, NOW)
    found.look(streams[:-1], NOW + 1)
    for each in streams[:-1]:
        found.take(each, state(running=False), NOW + AWAY)
    found.look(streams[:-1], NOW + 1 + AWAY)
    assert over(found)
    assert last(found)[f"app-{AT_ONCE}"].problem == module.GONE


def test_after_some_silence_it_is_asked_how_far_it_is() -> None:
    one, found = stream(1), dumping()
    found.look([one], NOW)
    found.take(one, state(), NOW + 1)
    for second in range(2, 25):
        found.look([one], NOW + second)
    assert one.kinds == ["dump"] * 3
    found.take(one, state(running=False), NOW + 25)
    assert over(found)


def test_a_sidecar_that_never_answers_is_given_up_and_told_to_stop() -> None:
    one, found = stream(1), dumping()
    found.look([one], NOW)
    found.look([one], NOW + ANSWER - 1)
    assert not over(found)
    found.look([one], NOW + ANSWER)
    assert over(found)
    assert last(found)["app-1"].problem == module.SILENT
    assert one.kinds == ["dump", "dump", "dump_stop"]
    found.take(one, state(running=False, sent=4), NOW + ANSWER + 1)
    assert found.sent == 0, "it has been told about already"


def test_one_that_falls_silent_is_given_up_and_one_that_speaks_is_not() -> None:
    one, two, found = stream(1), stream(2), dumping()
    found.look([one, two], NOW)
    found.take(one, state(), NOW + 1)
    for second in range(1, int(SILENCE) + 1):
        found.take(two, state(), NOW + 1 + second)
    found.look([one, two], NOW + 1 + SILENCE)
    known = last(found)
    assert known["app-1"].problem == module.FALLEN_SILENT
    assert known["app-2"].running


def test_one_that_does_not_end_in_its_time_is_given_up() -> None:
    one, found = stream(1), dumping()
    found.look([one], NOW)
    found.take(one, state(), NOW + TIMEOUT)
    found.look([one], NOW + TIMEOUT + GRACE - 1)
    assert not over(found)
    found.take(one, state(), NOW + TIMEOUT + GRACE)
    found.look([one], NOW + TIMEOUT + GRACE)
    assert last(found)["app-1"].problem == module.NOT_ENDED


def test_so_many_work_at_once_and_the_next_begins_when_one_ends() -> None:
    streams, found = [stream(number) for number in range(AT_ONCE + 2)], dumping()
    found.look(streams, NOW)
    assert [len(each.told) for each in streams] == [1] * AT_ONCE + [0, 0]
    found.take(streams[0], state(running=False), NOW + 9)
    found.look(streams, NOW + 9)
    assert [len(each.told) for each in streams[AT_ONCE:]] == [1, 0]
    assert streams[AT_ONCE].told[0].dump.since_seconds == 69
    for each in streams[1 : AT_ONCE + 1]:
        found.take(each, state(), NOW + TIMEOUT)
    found.look(streams, NOW + TIMEOUT)
    assert last(found)[f"app-{AT_ONCE + 1}"].problem == module.LEFT_ALONE
    assert streams[-1].told == [], "who was never asked is not told to stop"


def test_a_stop_reaches_those_at_work() -> None:
    one, two, found = stream(1), stream(2), dumping()
    found.look([one, two], NOW)
    found.take(one, state(running=False), NOW + 1)
    found.stop()
    assert (one.kinds, two.kinds) == (["dump"], ["dump", "dump_stop"])
    assert two.told[-1].dump_stop.id == "d1"


def test_what_a_sidecar_says_is_bounded() -> None:
    one, found = stream(1), dumping()
    found.look([one], NOW)
    found.take(one, state(running=False, problem="x" * 100_000), NOW)
    assert len(last(found)["app-1"].problem) == module.LONGEST_PROBLEM
