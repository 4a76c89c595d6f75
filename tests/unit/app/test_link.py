"""The sidecar's link against a real gRPC server with TLS: what goes over it, and when it attaches anew."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

import grpc
import pytest

from forward_support.certificates import Authority
from link_world import TOKEN, UID, Attached, Refusal, Sampling, World, linked
from tracekeeper_proto.control.v1 import control_pb2 as pb
from tracekeeper_sidecar.control.goal import Goal
from tracekeeper_sidecar.control.messages import MOST_IDS
from tracekeeper_sidecar.coordination import KeptBatch, Report
from tracekeeper_sidecar.model import DumpAsked
from tracekeeper_spec.policy import Control
from waiting import until


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    async with linked(tmp_path) as found:
        yield found


def traces(count: int, first: int = 0) -> bytes:
    return b"".join((first + number).to_bytes(16, "big") for number in range(count))


async def test_sidecar_says_who_it_is_and_is_attached_when_it_is_welcome(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        assert operator.last.metadata["authorization"] == f"Bearer {TOKEN}"
        (hello,) = operator.last.of("hello")
        assert (hello.hello.config_uid, hello.hello.policy_revision) == (UID, 7)
        assert hello.hello.version
        health = world.link.health()
        assert health.attached
        assert health.endpoint == f"localhost:{operator.port}"
        assert health.attempts == {"attached": 1}
        assert health.sent > 0 < health.received


async def test_without_a_welcome_nothing_else_is_said(world: World) -> None:
    async with world.operator() as operator:
        operator.welcome = None
        await until(lambda: operator.calls and operator.last.of("hello"), "the Hello has come")
        world.hub.keep(KeptBatch("errors", 0, False, 1.0, traces(1)))
        operator.last.say(pb.ToSidecar(share=pb.Share(traces_per_second=1, sidecars=1)))
        operator.last.say(pb.ToSidecar(welcome=pb.Welcome(report_every_seconds=300)))
        await until(lambda: operator.last.of("kept"), "it is told")
        assert [message.WhichOneof("message") for message in operator.last.said] == ["hello", "kept"]
        assert world.hub.shares == []


async def test_rates_are_reported_again_and_again(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: operator.calls and len(operator.last.of("report")) >= 2, "two reports have come")
        report = operator.last.of("report")[0].report
        assert {key.key: key.rate for key in report.keys} == {"cart, GET /": 12.5, "": 1.0}
        assert report.policy_revision == 7
        world.hub.found = None
        before = len(operator.last.said)
        world.hub.keep(KeptBatch("errors", 0, False, 1.0, traces(1)))
        await until(lambda: operator.last.of("kept"), "it is told")
        assert len(operator.last.said) <= before + 2


async def test_what_is_kept_is_told_in_messages_of_bounded_size(world: World) -> None:
    batches = [
        KeptBatch("errors", 0, False, 100.5, traces(40_000)),
        KeptBatch("max-spans", 0, True, 101.0, traces(3, 50_000)),
        *(KeptBatch(f"rule-{number}", number, False, 102.0, traces(1, 60_000 + number)) for number in range(600)),
    ]
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        world.hub.keep(*batches)
        found: dict[tuple[str, int, bool, float], bytes] = {}

        def told() -> bool:
            found.clear()
            for message in operator.last.of("kept"):
                assert sum(len(kept.trace_ids) for kept in message.kept.kept) <= 16 * MOST_IDS
                for kept in message.kept.kept:
                    key = kept.rule, kept.threshold, kept.erase, kept.decided
                    found[key] = found.get(key, b"") + kept.trace_ids
            return sum(map(len, found.values())) >= 16 * 40_603

        await until(told, "all of them are told")
        assert found == {(each.rule, each.threshold, each.erase, each.decided): each.ids for each in batches}


async def test_what_waited_before_it_was_attached_is_told_at_once(world: World) -> None:
    world.hub.waiting.append(KeptBatch("errors", 5, False, 1.0, traces(2)))
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("kept"), "it is told")
        assert operator.last.of("kept")[0].kept.kept[0].threshold == 5


async def test_shares_and_decisions_of_others_reach_sampling(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        operator.last.say(pb.ToSidecar(share=pb.Share(traces_per_second=33.5, sidecars=3, floor=0.125)))
        operator.last.say(pb.ToSidecar())  # Of a kind that a later release has.
        decisions = [
            pb.Kept(rule="errors", threshold=1 << 55, decided=7.5, trace_ids=traces(65_536)),
            pb.Kept(rule="max-spans", erase=True, decided=8, trace_ids=traces(1)),
        ]
        operator.last.say(pb.ToSidecar(kept=pb.Decisions(kept=decisions)))
        await until(lambda: len(world.hub.heard) == 2, "they have come")
        assert world.hub.shares == [(33.5, 3, 0.125)]
        assert world.hub.heard == [
            KeptBatch("errors", 1 << 55, False, 7.5, traces(65_536)),
            KeptBatch("max-spans", 0, True, 8.0, traces(1)),
        ]


async def test_many_decisions_get_through_however_much_they_are(world: World) -> None:
    """More than any window of flow control holds."""
    count = 60
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        for number in range(count):
            kept = pb.Kept(rule="errors", decided=number, trace_ids=traces(65_536))
            operator.last.say(pb.ToSidecar(kept=pb.Decisions(kept=[kept])))
        await until(lambda: len(world.hub.heard) == count, lambda: f"{len(world.hub.heard)} have come")
        assert [batch.decided for batch in world.hub.heard] == list(range(count))
        assert world.link.health().attempts == {"attached": 1}


async def test_dumps_are_begun_followed_and_ended(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        command = pb.DumpCommand(id="d1", since_seconds=60, where="span.error", backend="a", timeout_seconds=30)
        operator.last.say(pb.ToSidecar(dump=command))
        await until(lambda: operator.last.of("dump"), "its state is told")
        assert world.recording.asked == [DumpAsked(60, "span.error", "a", False, 30)]
        operator.last.say(pb.ToSidecar(dump_stop=pb.DumpStop(id="d1")))
        await until(lambda: world.recording.stopped, "it is stopped")
        await until(lambda: not operator.last.of("dump")[-1].dump.running, "its end is told")


async def test_dump_can_be_asked_after_by_the_next_stream(world: World) -> None:
    command = pb.DumpCommand(id="d1", since_seconds=60, backend="a", timeout_seconds=30, report_every_seconds=0.5)
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        operator.last.say(pb.ToSidecar(dump=command))
        await until(lambda: operator.last.of("dump"), "its state is told")
        operator.last.end(grpc.StatusCode.UNAVAILABLE)
        await until(lambda: len(operator.calls) > 1 and world.hub.is_attached, "it is attached again")
        operator.last.say(pb.ToSidecar(dump=command))
        await until(lambda: operator.last.of("dump"), "its state is told")
        assert len(world.recording.asked) == 1


async def test_new_policy_is_told_on_the_same_stream(world: World) -> None:
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        world.attach_to(operator.port, revision=8, uid="another")
        await until(lambda: len(operator.last.of("hello")) == 2, "it says so")
        hello = operator.last.of("hello")[1].hello
        assert (hello.config_uid, hello.policy_revision) == ("another", 8)
        await until(lambda: operator.last.of("report")[-1:], "it reports")
        assert len(operator.calls) == 1
        assert world.hub.attached == [True]


async def test_it_moves_to_where_the_policy_says(world: World) -> None:
    async with world.operator() as old:
        await until(lambda: world.hub.is_attached, "it is attached")
        async with world.operator() as new:
            await until(lambda: new.calls and new.last.of("report"), "it is attached to the other one")
            await until(lambda: not old.now, "it has left")
            assert old.last.left
            assert world.hub.attached == [True, False, True]
            world.link.follow(None)
            await until(lambda: not new.now, "it has left this one, too")
            await until(lambda: not world.hub.is_attached, "sampling knows")
            assert world.link.health().endpoint == ""


async def test_it_comes_back_when_the_operator_does(world: World) -> None:
    async with world.operator() as operator:
        for times in range(3):
            await until(lambda: world.hub.is_attached, "it is attached")
            assert world.link.health().attempts["attached"] == times + 1
            await operator.stop()
            await until(lambda: not world.hub.is_attached, "it knows that it is not")
            assert world.problem
            await operator.start()
        await until(lambda: world.hub.is_attached, "it is attached again")
        assert world.problem == ""


async def test_new_token_is_used_when_the_old_one_is_not_accepted_any_more(world: World) -> None:
    def judge(call: Attached) -> Refusal | None:
        new = call.metadata["authorization"] == "Bearer new"
        return None if new else Refusal(grpc.StatusCode.UNAUTHENTICATED, "the token has expired")

    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        operator.refusal = judge
        operator.last.end(grpc.StatusCode.UNAUTHENTICATED, "the token has expired")
        await until(lambda: len(operator.calls) > 2, "it has tried the old one again")
        assert "does not accept this pod's token (UNAUTHENTICATED: the token has expired)" in world.problem
        world.token.write_text("new")
        await until(lambda: world.hub.is_attached, "it is attached")
        assert operator.last.metadata["authorization"] == "Bearer new"
        assert world.link.health().ends == {"refused": 1}


@pytest.mark.parametrize(
    "text", [None, "", " \n", "two lines\nof text", "n\N{LATIN SMALL LETTER E WITH ACUTE}", "x" * 99_999]
)
async def test_token_that_cannot_be_used_is_not_sent(world: World, text: str | None) -> None:
    world.token.unlink()
    if text is not None:
        world.token.write_text(text)
    async with world.operator() as operator:
        await until(lambda: world.link.health().attempts["token"] > 1, "it was looked for")
        assert str(world.token) in world.problem
        assert not operator.calls
        world.token.write_text(TOKEN)
        await until(lambda: world.hub.is_attached, "it is attached")


@pytest.mark.parametrize("code", [grpc.StatusCode.PERMISSION_DENIED, grpc.StatusCode.INVALID_ARGUMENT])
async def test_refusal_is_told_and_tried_again(world: World, code: grpc.StatusCode) -> None:
    async with world.operator() as operator:
        operator.refusal = lambda call: (
            Refusal(code, "no config of this namespace") if len(operator.calls) < 3 else None
        )
        await until(lambda: world.hub.is_attached, "it is attached")
        assert world.link.health().attempts == {"refused": 2, "attached": 1}


async def test_nobody_else_is_trusted_and_none_of_them_sees_the_token(world: World) -> None:
    def tried(times: int) -> bool:
        return world.link.health().attempts["unreachable"] >= times

    for pair in (Authority("another").issue(), world.authority.issue("example.com")):
        async with world.operator(pair) as operator:
            await until(partial(tried, world.link.health().attempts["unreachable"] + 2), "it has tried twice")
            assert "certificate verify failed" in world.problem
            assert not operator.calls


@pytest.mark.parametrize("ca", ["", "no certificate"])
async def test_authority_that_cannot_be_read_is_named(world: World, ca: str) -> None:
    world.link.follow(Goal(Control("localhost:1", ca), UID, 1))
    await until(lambda: "control.ca" in world.problem, lambda: world.problem)
    world.link.follow(Goal(Control("nowhere", ca), UID, 1))
    await until(lambda: "control.endpoint" in world.problem, lambda: world.problem)


async def test_sampling_that_begins_later_is_attached_then(world: World) -> None:
    sampling, world.sampling = world.sampling, None
    async with world.operator() as operator:
        await until(lambda: operator.calls and operator.last.of("hello"), "the Hello has come")
        await until(lambda: world.link.health().attached, "it is welcome")
        operator.last.say(pb.ToSidecar(share=pb.Share(traces_per_second=1, sidecars=1)))
        world.sampling = sampling
        world.attach_to(operator.port, revision=8)
        await until(lambda: operator.last.of("report"), "it reports")
        assert world.hub.attached == [True]
        other = Sampling(found=Report({"x": 1.0}, 1.0))
        world.sampling, before = other, world.hub
        await until(lambda: operator.last.of("report")[-1].report.keys[0].key == "x", "the new one reports")
        assert before.attached == [True, False]
        assert other.attached == [True]


async def test_failure_of_ours_ends_the_stream_alone(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fails(share: float, sidecars: int, floor: float) -> None:
        raise RuntimeError("a bug")

    world.hub.on_share = fails  # type: ignore[method-assign]
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        operator.last.say(pb.ToSidecar(share=pb.Share(traces_per_second=1, sidecars=1)))
        await until(lambda: len(operator.calls) > 1 and world.hub.is_attached, "it is attached again")
        assert world.hub.attached == [True, False, True]
        assert world.link.health().ends == {"failed": 1}
        assert "a bug" in caplog.text


async def test_away_for_long_is_said_once(world: World, caplog: pytest.LogCaptureFixture) -> None:
    async with world.operator() as operator:
        await until(lambda: world.hub.is_attached, "it is attached")
        await operator.stop()
        await until(lambda: world.link.health().attempts["unreachable"] > 3, "it has tried")
        warnings = [record for record in caplog.records if record.levelname == "WARNING"]
        assert len([record for record in warnings if "cannot be attached to" in record.getMessage()]) == 1


async def test_link_ends_with_the_sidecar_and_says_so(tmp_path: Path) -> None:
    async with AsyncExitStack() as stack:
        async with linked(tmp_path) as world:
            operator = await stack.enter_async_context(world.operator())
            await until(lambda: world.hub.is_attached, "it is attached")
            batch = KeptBatch("errors", 0, False, 1.0, traces(1))
            world.hub.waiting.append(batch)  # As the last decisions may be.
        await until(lambda: not operator.now, "the operator knows")
        assert world.hub.attached == [True, False]
        assert operator.last.left
        assert operator.last.of("kept")[0].kept.kept[0].trace_ids == batch.ids
