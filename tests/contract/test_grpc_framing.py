"""The gRPC server frame by frame: messages however they are cut, windows, compression, deadlines, trailers, the end."""

from __future__ import annotations

import asyncio
import base64
import gzip
import zlib
from functools import partial
from urllib.parse import unquote

import pytest
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from hyperframe.frame import HeadersFrame, RstStreamFrame, SettingsFrame, WindowUpdateFrame

import otlp_requests
from raw_grpc import RawClient, connected, message
from receivers import Gate, Serving, serving
from tracekeeper_sidecar.errors import LogFull
from tracekeeper_sidecar.receive.otlp_grpc import GrpcReceiver
from waiting import until

MIB = 1 << 20
REFUSED_STREAM, CANCEL = 7, 8
INVALID_ARGUMENT, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, UNIMPLEMENTED, INTERNAL = 3, 4, 8, 12, 13
LAST_STREAM = 2**31 - 1


def unpadded(text: str) -> bytes:
    assert not text.endswith("=")
    return base64.b64decode(text + "=" * (-len(text) % 4))


async def refused(client: RawClient, running: Serving, status: int, text: str, stream: int = 1) -> None:
    """Nothing is stored, the answer is one HEADERS frame, and the next call is served."""
    answer = await client.answer(stream)
    assert int(answer["grpc-status"]) == status
    assert text in unquote(answer["grpc-message"])
    assert len([each for each in client.of(HeadersFrame) if each.stream_id == stream]) == 1
    assert client.content(stream) == b""
    assert running.store.payloads == []
    client.export(stream + 2, otlp_requests.body(1))
    assert await client.status(stream + 2) == 0


async def test_an_answer_is_headers_a_message_and_trailers() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        body = otlp_requests.body(3)
        client.export(1, body)
        await client.answer(1)
        kinds = [type(each).__name__ for each in client.frames if each.stream_id == 1]
        assert kinds == ["HeadersFrame", "DataFrame", "HeadersFrame"]
        assert client.headers[1] == [
            (":status", "200"),
            ("content-type", "application/grpc"),
            ("grpc-accept-encoding", "identity,deflate,gzip"),
            ("grpc-status", "0"),
        ]
        assert client.content(1) == bytes(5)
        assert running.store.payloads == [body]
        assert client.resets() == {}


@pytest.mark.parametrize("step", [1, 2, 4, 7, 100])
async def test_a_message_over_many_frames(step: int) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        body = otlp_requests.body(1)
        sent = message(body)
        pieces = [client.data(1, sent[at : at + step]) for at in range(0, len(sent), step)]
        client.send(client.call(1), *pieces, client.data(1, b"", end=True))
        assert await client.status(1) == 0
        assert running.store.payloads == [body]


async def test_messages_of_many_calls_interleaved() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        bodies = {stream: otlp_requests.body(2, seed=stream) for stream in range(1, 41, 2)}
        for stream in bodies:
            client.send(client.call(stream))
        for at in range(0, 1000, 50):
            for stream, body in bodies.items():
                if piece := message(body)[at : at + 50]:
                    client.send(client.data(stream, piece))
        for stream in bodies:
            client.send(client.data(stream, b"", end=True))
        for stream in bodies:
            assert await client.status(stream) == 0
        assert sorted(running.store.payloads) == sorted(bodies.values())


async def test_a_message_larger_than_the_first_piece_of_memory_and_than_the_windows() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        body = otlp_requests.body(2, text="x" * MIB)
        sent = message(body)
        await client.round_trip()
        client.send(client.call(1))
        for at in range(0, len(sent), 16384):
            piece = sent[at : at + 16384]
            await client.until(partial(may_send, client, at + len(piece)), "more window")
            client.send(client.data(1, piece, end=at + len(piece) == len(sent)))
        assert await client.status(1) == 0
        assert running.store.payloads == [body]


def may_send(client: RawClient, size: int) -> bool:
    """Whether both windows, of stream 1 and of the connection, let so many bytes be sent in all."""
    first: int = client.of(SettingsFrame)[0].settings[SettingsFrame.INITIAL_WINDOW_SIZE]
    updates = client.window_updates()
    return size <= min(65535 + updates.get(0, 0), first + updates.get(1, 0))


@pytest.mark.parametrize("count", [0, 2, 3])
async def test_a_unary_call_has_one_message(count: int) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        several = message(otlp_requests.body(1)) * count
        client.send(client.call(1), client.data(1, several, end=True))
        await refused(client, running, INTERNAL, "takes one message")
        assert running.ledger.refused_requests == {"malformed": 1}


async def test_a_call_that_ends_with_its_headers() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1, end=True))
        await refused(client, running, INTERNAL, "there was none")


async def test_an_empty_message_is_ok() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, message(b""), end=True))
        assert await client.status(1) == 0


@pytest.mark.parametrize("sent", [b"\0\0", message(b"abc", announced=4), message(b"", announced=1)])
async def test_a_message_that_is_cut_off(sent: bytes) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, sent, end=True))
        await refused(client, running, INTERNAL, "ended the call after")
        await until(lambda: running.receiver.admission.in_flight == 0, "its bytes are given back")


async def test_a_call_may_end_with_trailers_of_its_own() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, message(otlp_requests.body(1))))
        client.send(HeadersFrame(1, b"\x00\x01x\x01y", flags=["END_HEADERS", "END_STREAM"]))
        assert await client.status(1) == 0


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("gzip", gzip.compress),
        ("gzip", lambda body: gzip.compress(body[:50]) + gzip.compress(body[50:])),
        ("deflate", zlib.compress),
    ],
)
async def test_compressed_messages(name: str, pack: object) -> None:
    assert callable(pack)
    async with serving() as running, connected(running.grpc_port) as client:
        body = otlp_requests.body(5)
        client.send(client.call(1, grpc_encoding=name), client.data(1, message(pack(body), flag=1), end=True))
        client.send(client.call(3, grpc_encoding=name), client.data(3, message(body), end=True))
        assert await client.status(1) == 0
        assert await client.status(3) == 0, "a single message may go without"
        assert running.store.payloads == [body, body]


@pytest.mark.parametrize("packed", [b"", b"plain", gzip.compress(b"x" * 100)[:-3], b"\x1f\x8b" + b"\xff" * 30])
async def test_what_is_not_the_gzip_it_says_it_is(packed: bytes) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1, grpc_encoding="gzip"), client.data(1, message(packed, flag=1), end=True))
        if packed:
            await refused(client, running, INVALID_ARGUMENT, "gzip")
        else:
            assert await client.status(1) == 0, "nothing, compressed to nothing"
        await until(lambda: running.receiver.admission.in_flight == 0, "its bytes are given back")


async def test_compressed_without_saying_how() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, message(gzip.compress(b""), flag=1), end=True))
        await refused(client, running, INTERNAL, "does not say how")


async def test_a_first_byte_that_means_nothing() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, message(otlp_requests.body(1), flag=2), end=True))
        await refused(client, running, INTERNAL, "begins with the byte 2")


async def test_an_unknown_compression_is_unimplemented_and_the_known_ones_are_named() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1, grpc_encoding="snappy"), client.data(1, message(b"x", flag=1), end=True))
        await refused(client, running, UNIMPLEMENTED, "use one of identity,deflate,gzip")
        assert dict(client.headers[1])["grpc-accept-encoding"] == "identity,deflate,gzip"


async def test_a_bomb_takes_no_more_than_the_admission_has() -> None:
    async with serving(admission=8 * MIB) as running, connected(running.grpc_port) as client:
        other = await asyncio.to_thread(gzip.compress, bytes(60 * MIB), 1)
        await client.round_trip()
        client.send(client.call(1), client.data(1, message(b"\x0a", announced=100)))  # not alone
        client.export_message(3, message(other, flag=1), grpc_encoding="gzip")
        answer = await client.answer(3)
        assert int(answer["grpc-status"]) == RESOURCE_EXHAUSTED
        assert "google.rpc.retryinfo-bin" in answer
        client.send(RstStreamFrame(1, CANCEL))
        await until(lambda: running.receiver.admission.in_flight == 0, "everything is given back")


async def test_an_announcement_over_the_limit_is_refused_before_anything_is_kept() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.send(client.call(1), client.data(1, message(b"\x0a\x05", announced=64 * MIB + 1)))
        await refused(client, running, RESOURCE_EXHAUSTED, "of 67108865 bytes is over the limit of 67108864 bytes")
        assert client.resets() == {1: 0}, "it is asked to stop, without an error"
        assert "google.rpc.retryinfo-bin" not in dict(client.headers[1]), "nobody may send it again"
        assert running.ledger.refused_requests == {"too_large": 1}
        assert running.receiver.admission.in_flight == 0


@pytest.mark.parametrize(
    "kind",
    ["application/grpc", "application/grpc+proto", "application/grpc;charset=utf-8", "application/grpc+proto;a=b"],
)
async def test_content_types_of_grpc(kind: str) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.export(1, otlp_requests.body(1), content_type=kind)
        assert await client.status(1) == 0


@pytest.mark.parametrize(
    "changed",
    [
        {"content_type": "application/json"},
        {"content_type": "application/grpc-web"},
        {"content_type": "application/grpc+json"},
        {"content_type": None},
        {"method": "GET"},
    ],
)
async def test_what_is_not_grpc_is_told_so_in_http(changed: dict[str, str | None]) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.export(1, otlp_requests.body(1), **changed)
        assert (await client.answer(1))[":status"] == "415"
        assert b"This port speaks gRPC" in client.content(1)
        assert running.store.payloads == []
        assert running.ledger.refused_requests == {"media_type": 1}


async def test_messages_of_refusals_are_percent_encoded() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.fault = LogFull("quota", "100 % of “data” are full\n", 0.25)
        client.export(1, otlp_requests.body(1))
        answer = await client.answer(1)
        assert answer["grpc-message"] == "the buffer is full: 100 %25 of %E2%80%9Cdata%E2%80%9D are full%0A"
        status, info = Status.FromString(unpadded(answer["grpc-status-details-bin"])), RetryInfo()
        assert status.message == "the buffer is full: 100 % of “data” are full\n"
        assert status.details[0].Unpack(info)
        assert info == RetryInfo.FromString(unpadded(answer["google.rpc.retryinfo-bin"]))
        assert info.retry_delay.ToMilliseconds() == 250


async def test_a_long_message_does_not_outgrow_what_clients_take() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.fault = LogFull("quota", "ü" * 5000, 1)
        client.export(1, otlp_requests.body(1))
        answer = await client.answer(1)
        assert len(answer["grpc-message"]) < 7000
        assert set(unquote(answer["grpc-message"]).removeprefix("the buffer is full: ")) == {"ü"}


async def test_the_clients_deadline_while_the_disk_hangs() -> None:
    async with serving(silence=2.0) as running, connected(running.grpc_port) as client:
        running.store.gate = Gate()
        client.export(1, otlp_requests.body(3), grpc_timeout="300m")
        answer = await client.answer(1)
        assert int(answer["grpc-status"]) == DEADLINE_EXCEEDED
        assert running.ledger.refused == {}, "nobody knows yet"
        running.store.gate.set()
        assert len(running.store.payloads) == 1, "and then they are stored"
        assert running.receiver.admission.in_flight == 0
        client.export(3, otlp_requests.body(1), grpc_timeout="10S")
        assert await client.status(3) == 0


async def test_a_message_that_comes_after_its_deadline_is_not_taken() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.export(1, otlp_requests.body(1), grpc_timeout="0n")
        await refused(client, running, DEADLINE_EXCEEDED, "grpc-timeout")


@pytest.mark.parametrize("said", ["", "5", "S", "123456789S", "-1S", "1.5S", "1s", "99999999H", "1M", "100000u"])
async def test_timeouts_that_say_nothing_or_much_are_no_obstacle(said: str) -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.export(1, otlp_requests.body(1), grpc_timeout=said)
        assert await client.status(1) == 0


async def test_the_clients_window_is_respected() -> None:
    async with serving() as running, connected(running.grpc_port, s4=2) as client:
        client.export(1, otlp_requests.body(1))
        await client.until(lambda: client.content(1) == bytes(2), "two bytes")
        await client.round_trip()
        assert client.content(1) == bytes(2)
        client.send(WindowUpdateFrame(1, 1))
        await client.until(lambda: client.content(1) == bytes(3), "a third")
        client.send(WindowUpdateFrame(1, 100))
        assert await client.status(1) == 0
        assert client.content(1) == bytes(5)


async def test_a_reset_call_is_not_answered_but_stored() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.gate = Gate()
        client.export(1, otlp_requests.body(1))
        await until(lambda: running.store.waiting, "the request waits for the disk")
        client.send(RstStreamFrame(1, CANCEL))
        await client.round_trip()
        running.store.gate.set()
        client.export(3, otlp_requests.body(1))
        assert await client.status(3) == 0
        assert 1 not in client.headers
        assert len(running.store.payloads) == 2
        assert running.receiver.admission.in_flight == 0


async def test_a_call_reset_before_anybody_looked_is_not_taken() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        sent = client.call(1).serialize() + client.data(1, message(otlp_requests.body(1)), end=True).serialize()
        client.send(sent + RstStreamFrame(1, CANCEL).serialize())
        await client.round_trip()
        assert running.store.payloads == []
        assert running.receiver.admission.in_flight == 0


async def test_stopping_lets_calls_finish_and_takes_those_that_cross_the_news() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        running.store.gate = Gate()
        client.export(1, otlp_requests.body(1))
        await until(lambda: running.store.waiting == 1, "the first request waits for the disk")
        client.answers_pings = False
        stop = asyncio.create_task(running.grpc.stop(30))
        await client.until(lambda: client.goaways() == [(LAST_STREAM, 0)], "the first GOAWAY")
        client.export(3, otlp_requests.body(1))
        await until(lambda: running.store.waiting == 2, "a call that was on its way is taken")
        client.answer_pings()
        await client.until(lambda: client.goaways() == [(LAST_STREAM, 0), (3, 0)], "the second GOAWAY")
        client.export(5, otlp_requests.body(1))
        with pytest.raises(ConnectionError):
            async with connected(running.grpc_port):
                pass
        running.store.gate.set()
        assert await client.status(1) == 0
        assert await client.status(3) == 0
        await client.until_closed()
        assert 5 not in client.headers
        await asyncio.wait_for(stop, 20)
        assert len(running.store.payloads) == 2


async def test_stopping_cuts_off_what_does_not_finish() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        client.answers_pings = False
        client.send(client.call(1))
        await until(lambda: running.receiver.admission.in_flight, "the call has begun")
        await asyncio.wait_for(running.grpc.stop(0.3), 20)
        await client.until_closed()
        assert len(client.goaways()) == 2
        await until(lambda: running.receiver.admission.in_flight == 0, "its share is given back")


async def test_stopping_with_idle_clients_is_quick() -> None:
    async with serving() as running, connected(running.grpc_port) as client:
        await client.round_trip()
        stop = asyncio.create_task(running.grpc.stop(3600))
        await client.until_closed()
        await asyncio.wait_for(stop, 20)


async def test_a_port_that_is_taken_is_named() -> None:
    from tracekeeper_sidecar.errors import ListenError

    async with serving() as running:
        with pytest.raises(
            ListenError, match=f"cannot listen on 127.0.0.1:{running.grpc_port}: Address already in use"
        ):
            await GrpcReceiver(running.receiver).start("127.0.0.1", running.grpc_port)
