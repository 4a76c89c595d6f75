"""Requests that two parties could read differently are refused, and nothing that hides behind them is read.

The corpus is `smuggling.json`: each case is what a client sends, and the status of the one answer that it gets.
"""

from __future__ import annotations

import asyncio
import json
import re
from pathlib import Path
from typing import Any

import pytest

import otlp_requests
from receivers import serving
from waiting import turns

CORPUS: list[dict[str, Any]] = json.loads(Path(__file__).with_name("smuggling.json").read_text())
HEAD = b"POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-protobuf\r\n"
BODY = otlp_requests.body(1)
PLAIN = HEAD + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY
LAST = HEAD + b"Connection: close\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY


async def talk(port: int, sent: bytes, step: int) -> list[int]:
    """The statuses of all answers until the server closes the connection, which it must."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for at in range(0, len(sent), step):
            writer.write(sent[at : at + step])
            await writer.drain()
            if step < len(sent):
                await turns()
        answer = await asyncio.wait_for(reader.read(), 30)
    finally:
        writer.close()
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d+) ", answer)]


async def test_the_corpus_is_refused() -> None:
    async with serving() as running:
        for case in CORPUS:
            sent = case["sent"].encode("latin-1")
            assert await talk(running.http_port, sent, len(sent)) == [case["status"]], case["name"]
        assert running.store.payloads == []
        assert running.ledger.refused_requests == {"malformed": len(CORPUS)}
        assert running.receiver.admission.in_flight == 0
        assert await talk(running.http_port, LAST, len(LAST)) == [200]
    print(f"{len(CORPUS)} requests refused")


async def test_the_corpus_is_refused_after_a_good_request_and_in_small_pieces() -> None:
    async with serving() as running:
        for case in CORPUS:
            sent = PLAIN + case["sent"].encode("latin-1")
            found = await talk(running.http_port, sent, 16 if len(sent) < 1000 else len(sent))
            assert found == [200, case["status"]], case["name"]
        assert running.store.payloads == [BODY] * len(CORPUS)
        assert running.receiver.admission.in_flight == 0


@pytest.mark.parametrize(
    "sent",
    [
        HEAD + b"Content-Length: 000%d\r\n\r\n" % len(BODY) + BODY,
        HEAD + b"content-length:\t%d \t\r\n\r\n" % len(BODY) + BODY,
        HEAD + b"Transfer-Encoding: Chunked\r\n\r\n%X;name=value\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n%04x\r\n" % len(BODY) + BODY + b"\r\n000\r\nX: y\r\nZ: \r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % byte for byte in BODY) + b"0\r\n\r\n",
        b"\r\n\r\n" + PLAIN,
        PLAIN.replace(b" /v1", b" http://127.0.0.1/v1"),
        PLAIN.replace(b"Host: x", b"Host: x\r\nX: Content-Length: 5\r\nX-Content-Length: 6\r\nContent_Length: 7"),
        HEAD + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: %d\r\n\r\n" % len(BODY) + BODY,
        HEAD
        + b"Connection: Upgrade\r\nUpgrade: x\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n" % len(BODY)
        + BODY
        + b"\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("step", [1, 7, 100_000])
async def test_what_is_plain_but_unusual_is_taken_and_so_is_what_follows(sent: bytes, step: int) -> None:
    async with serving() as running:
        assert await talk(running.http_port, sent + LAST, step) == [200, 200]
        assert running.store.payloads == [BODY, BODY]
