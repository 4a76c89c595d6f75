"""gRPC clients that stall, vanish, flood or speak nonsense: cut off, bounded in memory, and no harm to others."""

from __future__ import annotations

import asyncio
import struct

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
)

import otlp_requests
from raw_grpc import PREFACE, connected, frame, message
from receivers import Gate, Serving, serving
from tracekeeper_sidecar.receive.admission import OVERHEAD
from tracekeeper_sidecar.receive.h2.connection import MAX_CALLS
from waiting import turns, until

CALM = 11
"""ENHANCE_YOUR_CALM."""
MIB = 1 << 20


async def assert_alive(running: Serving, seed: int = 9) -> None:
    """Others are served, and nobody's bytes are forgotten in the admission."""
    body = otlp_requests.body(1, seed=seed)
    async with connected(running.grpc_port) as client:
        client.export(1, body)
        assert await client.status(1) == 0
    assert running.store.payloads[-1] == body
    await until(lambda: running.receiver.admission.in_flight == 0, "everything is given back")


@pytest.mark.parametrize("sent", [b"", b"PRI * HT", b"\x16\x03\x01" + bytes(60), PREFACE, PREFACE + b"\0\0"])
async def test_who_does_not_speak_http2_is_cut_off(sent: bytes) -> None:
    async with serving(silence=0.5) as running:
        async with connected(running.grpc_port, greet=False) as client:
            client.send(sent)
            await client.until_closed()
        await assert_alive(running)


@pytest.mark.parametrize("size", [0, MIB])
async def test_who_speaks_http1_is_told_where_to_go(size: int) -> None:
    async with serving() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.grpc_port)
        writer.write(b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % size + bytes(size))
        answer = await asyncio.wait_for(reader.read(), 20)
        writer.close()
        assert b"HTTP/1.1 505 " in answer
        assert b"This port speaks gRPC" in answer
        assert running.ledger.refused_requests == {"malformed": 1}
        await assert_alive(running)


async def test_who_hangs_in_mid_message_without_answering_pings_is_cut_off() -> None:
    async with serving(silence=0.6) as running:
        async with connected(running.grpc_port) as client:
            client.answers_pings = False
            client.send(client.call(1), client.data(1, message(b"\x0a\x05", announced=1000)))
            await client.until_closed()
            assert client.of(PingFrame), "it was asked"
        assert running.store.payloads == []
        await assert_alive(running)


async def test_a_message_that_never_ends_is_refused_although_its_client_lives() -> None:
    async with serving(patience=0.3) as running:
        async with connected(running.grpc_port) as client:
            client.send(client.call(1), client.data(1, message(b"\x0a\x05", announced=1000)))
            answer = await client.answer(1)
            assert answer["grpc-status"] == "4"
            assert "not complete within 0.3 s" in answer["grpc-message"]
            await client.until(lambda: client.resets() == {1: 0}, "it is asked to stop")
            assert running.receiver.admission.in_flight == 0
            client.export(3, otlp_requests.body(1))
            assert await client.status(3) == 0, "the connection serves other calls"
        assert running.ledger.refused_requests == {"slow_client": 1}


async def test_a_call_that_never_begins_its_message_is_refused() -> None:
    async with serving(patience=0.3) as running, connected(running.grpc_port) as client:
        client.send(client.call(1))
        assert await client.status(1) == 4
        assert running.receiver.admission.in_flight == 0


async def test_who_vanishes_in_mid_message_gives_everything_back() -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            client.send(client.call(1), client.data(1, message(b"\x0a\x05", announced=10_000_000)))
            await client.round_trip()
            assert MIB < running.receiver.admission.in_flight < 2 * MIB, "an announcement alone is not believed"
        await assert_alive(running)


async def test_who_vanishes_before_the_answer_changes_nothing() -> None:
    async with serving() as running:
        running.store.gate = Gate()
        async with connected(running.grpc_port) as client:
            client.export(1, otlp_requests.body(2))
            await until(lambda: running.store.waiting, "the request waits for the disk")
        running.store.gate.set()
        assert len(running.store.payloads) == 1
        await assert_alive(running)


@pytest.mark.parametrize("whole", [False, True])
async def test_rapid_reset(whole: bool) -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            body = message(otlp_requests.body(1))
            with pytest.raises(ConnectionError):  # closed while it still talks
                for stream in range(1, 200_001, 2):
                    data = client.data(stream, body, end=True) if whole else client.data(stream, body[:50])
                    client.send(client.call(stream), data, RstStreamFrame(stream, 8))
                    if stream % 100 == 1:
                        await client.writer.drain()
                        await turns()
                        if client.writer.transport.is_closing():
                            raise ConnectionResetError
            await client.until_closed()
        await assert_alive(running)


async def test_resets_that_the_server_is_made_to_send_do_not_undo_the_bounds() -> None:
    async with serving(admission=10 * OVERHEAD) as running:
        running.store.gate = Gate()
        async with connected(running.grpc_port) as client:
            body = message(otlp_requests.body(1))
            for stream in range(1, 401, 2):
                nothing = frame(8, 0, stream, struct.pack(">I", 2**31 - 1))  # a window too wide is an error
                client.send(client.call(stream), client.data(stream, body), nothing)
            await client.round_trip()
            for stream in range(401, 801, 2):
                client.send(client.call(stream), client.data(stream, body, end=True))
                await client.round_trip()
                client.send(frame(8, 0, stream, struct.pack(">I", 2**31 - 1)))
            assert running.store.waiting <= 10
            assert running.receiver.admission.in_flight <= 10 * OVERHEAD
        running.store.gate.set()
        await assert_alive(running)


MUST_BE_ANSWERED = {"ping", "settings"}
"""Of these, so many at once that their answers pile up make the library give up without a word."""


def floods() -> list[tuple[str, bytes]]:
    ping = PingFrame(0, b"12345678").serialize()
    pong = PingFrame(0, b"12345678", flags=["ACK"]).serialize()
    settings = SettingsFrame(0, {4: 65535}).serialize()
    priority = PriorityFrame(1, depends_on=0, stream_weight=1).serialize()
    window = frame(8, 0, 0, struct.pack(">I", 1))
    return [("ping", ping), ("pong", pong), ("settings", settings), ("priority", priority), ("window", window)]


@pytest.mark.parametrize(("name", "one"), floods())
async def test_floods_of_frames_that_carry_nothing_end_the_connection(name: str, one: bytes) -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            await client.round_trip()
            client.send(one * 20_000)
            await client.until_closed()
            said = [code for _, code in client.goaways()]
            assert said == [CALM] or (not said and name in MUST_BE_ANSWERED)
        await assert_alive(running)


async def test_a_flood_of_empty_data_frames_ends_the_connection() -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            client.send(client.call(1), DataFrame(1, b"").serialize() * 20_000)
            await client.until_closed()
        await assert_alive(running)


async def test_a_flood_of_continuations_ends_the_connection() -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            client.send(HeadersFrame(1, b"", flags=[]))
            client.send(ContinuationFrame(1, b"").serialize() * 20_000)
            await client.until_closed()
        await assert_alive(running)


async def test_an_hpack_bomb_ends_the_connection() -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            large = b"\x40\x01x" + b"\x7f\xe1\x1d" + b"y" * 3936  # into the dynamic table: 4,000 bytes
            headers = client.call(1)
            headers.flags.discard("END_HEADERS")
            client.send(headers, ContinuationFrame(1, large))
            for _ in range(5):
                client.send(ContinuationFrame(1, b"\xbe" * 16384))  # one byte each says it again
            client.send(ContinuationFrame(1, b"", flags=["END_HEADERS"]))
            await client.until_closed()
            assert [code for _, code in client.goaways()] == [CALM]
        await assert_alive(running)


async def test_metadata_over_the_limit_is_refused_without_harm_to_other_calls() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        headers = client.call(1, x_large="y" * 35_000, x_larger="z" * 35_000)
        pieces = [headers.data[at : at + 16384] for at in range(0, len(headers.data), 16384)]
        client.send(HeadersFrame(1, pieces[0], flags=["END_STREAM"]))
        for piece in pieces[1:]:
            last = piece is pieces[-1]
            client.send(ContinuationFrame(1, piece, flags=["END_HEADERS"] if last else []))
        answer = await client.answer(1)
        assert answer["grpc-status"] == "8"
        assert "metadata is over the limit of 65536 bytes" in answer["grpc-message"]
        client.export(3, otlp_requests.body(1))
        assert await client.status(3) == 0


async def test_more_calls_than_allowed_are_refused_by_the_protocol() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.gate = Gate()
        body = otlp_requests.body(1)
        for stream in range(1, 2 * MAX_CALLS + 2, 2):
            client.export(stream, body)
        await client.until(lambda: client.resets(), "one is refused")
        assert client.resets() == {2 * MAX_CALLS + 1: 7}, "REFUSED_STREAM"
        running.store.gate.set()
        assert await client.status(2 * MAX_CALLS - 1) == 0


async def test_admission_bounds_what_all_connections_keep() -> None:
    async with serving(admission=10 * MIB) as running:
        clients = []
        for _ in range(3):
            context = connected(running.grpc_port)
            clients.append((context, await context.__aenter__()))
        for _, client in clients:
            for stream in range(1, 17, 2):
                client.send(client.call(stream), client.data(stream, message(bytes(9000), announced=4 * MIB)))
            await client.round_trip()
        assert running.receiver.admission.in_flight <= 10 * MIB
        statuses = [client.headers[stream] for _, client in clients for stream in client.headers]
        assert len(statuses) >= 3 * 8 - 10
        assert all(dict(headers)["grpc-status"] == "8" for headers in statuses)
        assert all("google.rpc.retryinfo-bin" in dict(headers) for headers in statuses)
        for context, _ in clients:
            await context.__aexit__(None, None, None)
        await assert_alive(running)


async def test_who_does_not_read_is_cut_off_and_bounded() -> None:
    async with serving(patience=0.5) as running:
        async with connected(running.grpc_port, s4=0) as client:  # no window: answers cannot leave
            for stream in range(1, 201, 2):
                client.export(stream, otlp_requests.body(1, seed=stream))
            await until(lambda: len(running.store.payloads) == 100, "all are stored")
            await client.until(lambda: len(client.resets()) == 100, "the answers are dropped")
            assert set(client.resets().values()) == {8}
        await assert_alive(running, 300)


async def test_unanswered_pings_end_a_silent_connection() -> None:
    async with serving(silence=0.4) as running:
        async with connected(running.grpc_port) as client:
            client.answers_pings = False
            await client.until_closed()
            assert len(client.of(PingFrame)) == 1


async def test_answered_pings_keep_a_silent_connection() -> None:
    async with serving(silence=0.3) as running, connected(running.grpc_port) as client:
        await client.until(lambda: len(client.of(PingFrame)) >= 3, "it is asked again and again")
        client.export(1, otlp_requests.body(1))
        assert await client.status(1) == 0


async def test_connections_are_bounded() -> None:
    async with serving() as running:
        running.grpc._max_connections = 2
        async with connected(running.grpc_port) as one, connected(running.grpc_port) as other:
            await one.round_trip()
            await other.round_trip()
            async with connected(running.grpc_port) as third:
                await third.until_closed()
            one.export(1, otlp_requests.body(1))
            assert await one.status(1) == 0
        await until(lambda: not running.grpc._connections, "both are gone")
        await assert_alive(running)


async def test_protocol_errors_end_with_a_goaway() -> None:
    async with serving() as running:
        async with connected(running.grpc_port) as client:
            client.send(frame(0, 0, 0, b"data on stream 0"))
            await client.until_closed()
            assert [code for _, code in client.goaways()] == [1]
        await assert_alive(running)


async def test_goaway_of_the_client_lets_its_calls_finish() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.gate = Gate()
        client.export(1, otlp_requests.body(1))
        client.send(GoAwayFrame(0, 0, 0))
        await client.round_trip()
        running.store.gate.set()
        assert await client.status(1) == 0
        await client.until_closed()


async def test_who_says_goodbye_is_not_reset_for_what_it_still_sends() -> None:
    """A reset would take back what was said last; here it would be an error in place of the connection's end."""
    async with serving() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.grpc_port)
        writer.write(PREFACE + SettingsFrame(0).serialize() + GoAwayFrame(0, 0, 0).serialize())
        writer.write(frame(0x20, 0, 0, bytes(16384)) * 64)  # of a kind that is unknown, and to be ignored
        said = await asyncio.wait_for(reader.read(), 30)
        assert said[3] == 4, "the server's SETTINGS came first"
        writer.write(PingFrame(0, b"12345678").serialize())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        await until(lambda: not running.grpc._connections, "the server has closed it, too")
        await assert_alive(running)


async def test_bytes_that_trickle_in_one_by_one_make_the_same_calls() -> None:
    async with serving() as running, connected(running.grpc_port, greet=False) as client:
        body = otlp_requests.body(1)
        sent = PREFACE + SettingsFrame(0).serialize() + client.call(1).serialize()
        sent += client.data(1, message(body), end=True).serialize()
        for at in range(len(sent)):
            client.send(sent[at : at + 1])
            await client.writer.drain()
            await turns()
        assert await client.status(1) == 0
        assert running.store.payloads == [body]
