"""HTTP answers by OTLP 1.11, seen by a plain HTTP client that sends what it likes."""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest
from google.protobuf import json_format
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

import otlp_requests
from receivers import Gate, Serving, serving
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from waiting import until

PROTOBUF = "application/x-protobuf"
JSON = "application/json"
MIB = 1 << 20
SPAN = {"traceId": "0af7651916cd43dd8448eb211c80319c", "spanId": "b7ad6b7169203331", "name": "chat"}


def as_json(*spans: dict[str, Any]) -> bytes:
    return json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": list(spans)}]}]}).encode()


@dataclass(slots=True)
class Answer:
    status: int
    headers: Any
    body: bytes

    def error(self) -> Status:
        """The Status in the body, by its content type."""
        if self.headers["Content-Type"] == PROTOBUF:
            return Status.FromString(self.body)
        assert self.headers["Content-Type"] == JSON
        return json_format.Parse(self.body, Status())

    def delay(self) -> float | None:
        error = self.error()
        if not error.details:
            return None
        info = RetryInfo()
        assert error.details[0].Unpack(info)
        seconds: float = info.retry_delay.ToNanoseconds() / 1e9
        return seconds


async def send(running: Serving, body: Any, kind: str | None = PROTOBUF, *, method: str = "POST",
               path: str = "/v1/traces", **headers: str) -> Answer:  # fmt: skip
    url = f"http://127.0.0.1:{running.http_port}{path}"
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if kind is not None:
        sent["Content-Type"] = kind
    timeout = aiohttp.ClientTimeout(total=40)
    async with (
        aiohttp.ClientSession(timeout=timeout, skip_auto_headers=["Content-Type"]) as session,
        session.request(method, url, data=body, headers=sent) as response,
    ):
        return Answer(response.status, response.headers, await response.read())


@pytest.mark.parametrize("kind", [PROTOBUF, "application/x-protobuf; charset=utf-8", "Application/X-Protobuf"])
@pytest.mark.parametrize("packed", [False, True])
async def test_protobuf_is_taken(kind: str, packed: bool) -> None:
    body = otlp_requests.body(20)
    async with serving() as running:
        headers = {"Content_Encoding": "gzip"} if packed else {}
        answer = await send(running, gzip.compress(body) if packed else body, kind, **headers)
        assert (answer.status, answer.headers["Content-Type"]) == (200, PROTOBUF)
        assert not ExportTraceServiceResponse.FromString(answer.body).HasField("partial_success")
        assert running.store.payloads == [body]


@pytest.mark.parametrize("kind", [JSON, "application/json; charset=UTF-8", "application/json;charset=utf-8"])
@pytest.mark.parametrize("encoding", ["identity", "gzip", "GZIP", ""])
async def test_json_is_taken(kind: str, encoding: str) -> None:
    body = as_json(SPAN)
    async with serving() as running:
        packed = gzip.compress(body) if encoding.lower() == "gzip" else body
        answer = await send(running, packed, kind, Content_Encoding=encoding)
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, JSON, b"{}")
        assert running.store.span_ids() == [bytes.fromhex("b7ad6b7169203331")]


async def test_large_json_goes_through_a_thread_with_the_same_result() -> None:
    spans = [{**SPAN, "spanId": f"{number:016x}", "name": "n" * 200} for number in range(1, 2001)]
    async with serving() as running:
        assert (await send(running, as_json(*spans), JSON)).status == 200
        assert running.store.span_ids() == [number.to_bytes(8, "big") for number in range(1, 2001)]
        assert running.receiver.admission.in_flight == 0


async def test_chunked_bodies_are_taken() -> None:
    body = otlp_requests.body(50)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(body), 1000):
            yield body[at : at + 1000]

    async with serving() as running:
        assert (await send(running, pieces())).status == 200
        assert running.store.payloads == [body]


@pytest.mark.parametrize(("kind", "body"), [(PROTOBUF, b""), (JSON, b"{}"), (JSON, b'{"resourceSpans": []}')])
async def test_empty_requests_succeed(kind: str, body: bytes) -> None:
    async with serving() as running:
        assert (await send(running, body, kind)).status == 200
        assert running.store.payloads == []


@pytest.mark.parametrize(
    ("kind", "body", "cause"),
    [
        (PROTOBUF, b"\x0a\x05abc", "resource_spans[0]: the value ends beyond the message that holds it"),
        (PROTOBUF, as_json(SPAN), "this is JSON, but the content type says protobuf"),
        (PROTOBUF, gzip.compress(b"x"), "this is gzip, but no Content-Encoding header says so"),
        (JSON, b'{"resourceSpans": [', "JSON: Expecting value at line 1 column 20"),
        (JSON, otlp_requests.body(1), "JSON: "),
        (JSON, as_json({**SPAN, "kind": "SERVER"}), "scopeSpans[0].spans[0].kind: a string of 6 characters"),
        (JSON, as_json(SPAN, {**SPAN, "traceId": "zz"}), "spans[1].traceId: a string of 2 characters is not hex"),
        (JSON, as_json({**SPAN, "traceId": "0af7"}), "spans[0].trace_id: 2 bytes; must be 16"),
        (JSON, as_json({**SPAN, "spanId": "0" * 16}), "spans[0].span_id: all zero"),
        (JSON, as_json({"name": "no ids"}), "spans[0].trace_id: missing"),
    ],
)  # fmt: skip
async def test_malformed_bodies_name_the_field(kind: str, body: bytes, cause: str) -> None:
    async with serving() as running:
        answer = await send(running, body, kind)
        assert (answer.status, answer.headers["Content-Type"]) == (400, kind)
        assert cause in answer.error().message
        assert answer.error().code == 3
        assert "Retry-After" not in answer.headers
        assert running.ledger.refused_requests == {"malformed": 1}
        assert (await send(running, otlp_requests.body(1))).status == 200, "the server lives"


@pytest.mark.parametrize(
    ("packed", "cause"),
    [
        (b"not gzip", "body: not valid gzip"),
        (b"\x1f\x8b\x08\x00" + b"?" * 99, "body: not valid gzip"),
        (gzip.compress(otlp_requests.body(9))[:-9], "body: the gzip stream is cut off"),
    ],
)
async def test_broken_gzip_is_named(packed: bytes, cause: str) -> None:
    async with serving() as running:
        answer = await send(running, packed, Content_Encoding="gzip")
        assert answer.status == 400
        assert cause in answer.error().message


@pytest.mark.parametrize("kind", ["text/plain", "application/octet-stream", "application/protobuf", None])
async def test_unknown_content_types(kind: str | None) -> None:
    async with serving() as running:
        answer = await send(running, otlp_requests.body(1), kind)
        assert (answer.status, answer.headers["Content-Type"]) == (415, JSON)
        assert (kind or "Content-Type header is missing") in answer.error().message
        assert "application/x-protobuf or application/json" in answer.error().message
        assert running.ledger.refused_requests == {"media_type": 1}


async def test_unknown_encoding() -> None:
    async with serving() as running:
        answer = await send(running, b"x", Content_Encoding="br")
        assert answer.status == 415
        assert "'br' is not supported; use gzip or none" in answer.error().message


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "OPTIONS"])
async def test_other_methods(method: str) -> None:
    async with serving() as running:
        answer = await send(running, None, method=method)
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert "use POST" in answer.error().message


@pytest.mark.parametrize("path", ["/", "/v1/metrics", "/v1/traces/", "/v1/traces/x"])
async def test_other_paths_say_what_is_served(path: str) -> None:
    async with serving() as running:
        answer = await send(running, b"", path=path)
        assert answer.status == 404
        assert "POST /v1/traces" in answer.error().message
        assert path in answer.error().message


async def test_a_query_is_no_other_path() -> None:
    async with serving() as running:
        assert (await send(running, otlp_requests.body(1), path="/v1/traces?x=1")).status == 200


@pytest.mark.parametrize(("fault", "status", "code"), [
    (LogFull("quota", "no room", 2.5), 429, 8), (LogUnavailable("/data: Read-only file system", 2.5), 503, 14),
])  # fmt: skip
@pytest.mark.parametrize(("kind", "body"), [(PROTOBUF, otlp_requests.body(1)), (JSON, as_json(SPAN))])
async def test_come_back_later(fault: Exception, status: int, code: int, kind: str, body: bytes) -> None:
    async with serving() as running:
        running.store.fault = fault
        answer = await send(running, body, kind)
        assert (answer.status, answer.headers["Content-Type"], answer.error().code) == (status, kind, code)
        assert answer.headers["Retry-After"] == "3", "whole seconds, rounded up"
        assert answer.delay() == 2.5
        assert str(fault) in answer.error().message
        assert sum(running.ledger.refused.values()) == 1


@pytest.mark.parametrize("size", [64 * MIB + 1, 200 * MIB])
async def test_an_announced_size_over_the_limit_is_refused_unread(size: int) -> None:
    async with serving() as running:
        reader, writer = await asyncio.open_connection("127.0.0.1", running.http_port)
        head = f"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: {PROTOBUF}\r\nContent-Length: {size}\r\n\r\n"
        writer.write(head.encode())
        first = await asyncio.wait_for(reader.readuntil(b"\r\n"), 20)
        assert first.split()[1] == b"413"
        assert running.ledger.refused_requests == {"too_large": 1}
        writer.close()


async def test_an_unannounced_size_over_the_limit_is_refused() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield bytes(MIB)

    async with serving() as running:
        answer = await send(running, endless())
        assert answer.status == 413
        assert "over the limit of 67108864 bytes (after decompression)" in answer.error().message
        assert "Retry-After" not in answer.headers
        assert answer.delay() is None
        assert running.receiver.admission.in_flight == 0


async def test_json_that_would_take_more_memory_than_there_is_is_refused_for_good() -> None:
    async with serving(admission=800_000) as running:
        answer = await send(running, b" " * 100_001, JSON)
        assert answer.status == 413
        assert answer.headers["Content-Type"] == JSON
        assert b"over the limit of 100000 bytes for JSON" in answer.body
        assert "Retry-After" not in answer.headers
        assert running.receiver.admission.in_flight == 0
        assert running.ledger.refused_requests == {"too_large": 1}


async def test_a_gzip_bomb_is_refused_early() -> None:
    bomb = gzip.compress(bytes(16 * MIB), 9) * 64  # a gibibyte in 64 members, one megabyte on the wire
    async with serving() as running:
        answer = await send(running, bomb, Content_Encoding="gzip")
        assert answer.status == 413
        assert "(after decompression)" in answer.error().message
        assert answer.delay() is None
        assert running.ledger.refused_requests == {"too_large": 1}


async def test_too_much_in_flight_is_refused_not_queued() -> None:
    async with serving(admission=2000) as running:
        running.store.gate = Gate()
        first = asyncio.create_task(send(running, otlp_requests.body(10)))
        await until(lambda: running.store.waiting, "the first request waits for the disk")
        answer = await send(running, otlp_requests.body(10))
        assert (answer.status, answer.headers["Retry-After"]) == (429, "1")
        running.store.gate.set()
        assert (await first).status == 200
        assert running.receiver.admission.in_flight == 0
