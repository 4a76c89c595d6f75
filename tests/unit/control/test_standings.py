"""The control server hears what sidecars say of themselves: keeps it, within bounds, and says what of it is new."""

from __future__ import annotations

from collections.abc import AsyncIterator

import grpc
import pytest

from control_world import CONFIG, SidecarClient, World, serving
from tracekeeper_operator.control.attach import standing_every
from tracekeeper_operator.control.facts import ConfigFacts
from tracekeeper_operator.control.messages import LONGEST_TEXT, MOST_ENTRIES, MOST_SPANS, read
from tracekeeper_proto.control.v1 import control_pb2 as pb
from waiting import until


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with serving(World()) as world:
        yield world


@pytest.fixture
def news(world: World) -> list[str]:
    """UIDs of configs about which there was something new."""
    found: list[str] = []
    world.server.on_standing(found.append)
    return found


def standing(received: int = 0, **more: object) -> pb.Standing:
    return pb.Standing(policy_revision=7, policy_digest="sha256:7", received=received, acknowledged=received, **more)  # type: ignore[arg-type]


async def say(world: World, client: SidecarClient, said: pb.Standing, pod: str = "a") -> None:
    """Until the server has it."""
    await client.say(standing=said)
    uid = f"uid-shop-{pod}"
    await until(lambda: uid in world.server.pods() and world.server.pods()[uid].standing == said, "it has been heard")


async def test_it_is_asked_for_and_kept_while_the_sidecar_is_there(world: World) -> None:
    async with world.channel() as channel:
        client = SidecarClient(channel, "shop/a")
        await client.say(hello=pb.Hello(version="1.2", config_uid=CONFIG, policy_revision=6))
        assert (await client.read("welcome")).standing_every_seconds == 30.0
        (attached,) = world.server.attached(CONFIG)
        assert (attached.version, attached.revision, attached.standing) == ("1.2", 6, None)
        assert not attached.silent, "nothing is known of it"
        await say(world, client, standing())
        assert (attached.revision, attached.silent) == (7, True)
        await say(world, client, standing(5))
        assert not attached.silent
        assert world.metric("tracekeeper_control_messages_total", direction="in", kind="standing") == 2
        client.call.cancel()
    await until(lambda: not world.server.pods(), "it has gone")
    assert world.server.ledgers.total(CONFIG, []).received == 5


async def test_what_matters_is_news_and_counts_are_none(world: World, news: list[str]) -> None:
    async with world.sidecar("a") as client:
        assert news == [CONFIG]
        await say(world, client, standing(5))
        assert len(news) == 2
        await say(world, client, standing(6))
        assert len(news) == 2
        half = [pb.BackendStanding(name="tempo", circuit="HalfOpen", fault="refused")]
        await say(world, client, standing(6, backends=half))
        assert len(news) == 3
        wide = [pb.BackendStanding(name="tempo", circuit="Open", fault="timeout")]
        await say(world, client, standing(7, backends=wide))
        assert len(news) == 3, "it changes between these all the time"
        for dropped, heard in ((2, 4), (2, 4), (3, 5)):
            entry = pb.EntryStanding(name="primary", dropped=dropped)
            said = standing(8 + heard, backends=wide, delivery=[entry])
            await say(world, client, said)
            assert len(news) == heard
        assert world.server.attached(CONFIG)[0].lost_at > 0
    await until(lambda: len(news) == 6, "that it has gone is news")


async def test_one_that_comes_back_or_changes_its_config_is_counted_once(world: World) -> None:
    world.configs["other"] = ConfigFacts("other", "shop", "other", None)

    def total(config: str) -> tuple[int, int]:
        said = [each.standing for each in world.server.attached(config) if each.standing is not None]
        found = world.server.ledgers.total(config, said)
        return found.sidecars, found.received

    async with world.sidecar("a") as first:
        await say(world, first, standing(5))
        async with world.sidecar("a") as second:
            assert total(CONFIG) == (1, 5), "what its older stream has said holds until it says something"
            await say(world, second, standing(6))
            assert total(CONFIG) == (1, 6)
            await second.say(hello=pb.Hello(config_uid="other"))
            await second.read("welcome")
            assert (total(CONFIG), total("other")) == ((1, 6), (0, 0))
            await say(world, second, standing(7))
            assert (total(CONFIG), total("other")) == ((1, 6), (1, 7))


@pytest.mark.parametrize(
    "said",
    [
        standing(MOST_SPANS + 1),
        standing(delivery=[pb.EntryStanding(name="a", pending=MOST_SPANS + 1)]),
        standing(delivery=[pb.EntryStanding(name="a")] * (MOST_ENTRIES + 1)),
        standing(backends=[pb.BackendStanding(name="a")] * (MOST_ENTRIES + 1)),
        standing(backends=[pb.BackendStanding(name="a", fault="x" * (LONGEST_TEXT + 1))]),
        standing(backends=[pb.BackendStanding(name="a" * 64)]),
        standing(delivery=[pb.EntryStanding(name="€" * 22)]),
        standing(backends=[pb.BackendStanding(name="a", circuit="x" * 33)]),
        pb.Standing(policy_digest="€" * 43),
        standing(log_problem="x" * (LONGEST_TEXT + 1)),
        standing(policy_problem="x" * (LONGEST_TEXT + 1)),
    ],
    ids=lambda said: str(said)[-30:],
)
async def test_what_no_sidecar_says_of_itself_ends_its_stream(world: World, said: pb.Standing) -> None:
    async with world.sidecar("a") as client:
        await client.say(standing=said)
        code, details = await client.said()
        assert code is grpc.StatusCode.INVALID_ARGUMENT
        assert details.startswith("Standing: ")


def test_little_is_kept_of_a_standing_however_much_comes() -> None:
    names = [f"{number:02}" + "a" * 61 for number in range(MOST_ENTRIES)]
    said = standing(
        delivery=[pb.EntryStanding(name=name, delivered=MOST_SPANS) for name in names],
        backends=[pb.BackendStanding(name=name, circuit="Open", fault="€" * LONGEST_TEXT) for name in names],
        policy_problem="x" + "€" * (LONGEST_TEXT - 1),
        log_problem="€" * LONGEST_TEXT,
    )
    unknown = b"\xfa\x07\xc0\x84\x3d" + b"x" * 1_000_000  # field 127, which no Standing has
    data = pb.FromSidecar(standing=pb.Standing.FromString(said.SerializeToString() + unknown))
    assert data.ByteSize() > 1_000_000
    kept = read(data.SerializeToString()).standing
    assert kept.ByteSize() < 15_000
    assert kept.policy_problem == "x" + "€" * 170, "cut between characters"
    assert [each.name for each in kept.backends] == names


async def test_nothing_is_heard_before_a_hello(world: World) -> None:
    async with world.channel() as channel:
        client = SidecarClient(channel, "shop/a")
        await client.say(standing=standing())
        assert await client.said() == (grpc.StatusCode.INVALID_ARGUMENT, "the first message is to be a Hello")


def test_many_sidecars_are_to_say_so_less_often() -> None:
    assert standing_every(1) == standing_every(6000) == 30.0
    assert standing_every(20_000) == 100.0
