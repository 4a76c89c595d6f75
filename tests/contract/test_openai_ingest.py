"""OpenAI's trace ingest over HTTP: the answers that its SDK gets, and what is counted."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

import otlp_requests
from openai_items import SPAN, TRACE, body, span, spans, trace, values
from receivers import Gate, Serving, serving
from tracekeeper_sidecar.errors import LogFull, LogUnavailable
from waiting import until

PATH = "/v1/traces/ingest"
JSON = "application/json"
STEP = {"type": "custom", "name": "step"}
PARENT = "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01"


@dataclass(slots=True)
class Answer:
    status: int
    headers: Any
    body: Any


async def send(running: Serving, content: Any, kind: str | None = JSON, *, method: str = "POST", path: str = PATH,
               **headers: str) -> Answer:  # fmt: skip
    sent = {name.replace("_", "-"): value for name, value in headers.items()}
    if kind is not None:
        sent["Content-Type"] = kind
    url = f"http://127.0.0.1:{running.http_port}{path}"
    async with (
        aiohttp.ClientSession(skip_auto_headers=["Content-Type"]) as session,
        session.request(method, url, data=content, headers=sent) as response,
    ):
        read = await response.read()
        found = json.loads(read) if response.headers.get("Content-Type") == JSON and read else read
        return Answer(response.status, response.headers, found)


def stored(running: Serving) -> list[Any]:
    return [one for payload in running.store.payloads for one in spans(payload)]


@pytest.mark.parametrize("packed", [False, True])
async def test_traces_and_spans_are_taken(packed: bool) -> None:
    content = body(trace(group_id="g"), span(STEP))
    async with serving() as running:
        headers = {"Content_Encoding": "gzip"} if packed else {}
        answer = await send(running, gzip.compress(content) if packed else content, **headers)
        assert (answer.status, answer.headers["Content-Type"], answer.body) == (200, JSON, {})
        (found,) = stored(running)
        assert values(found.attributes)["gen_ai.conversation.id"] == "g"
        assert running.receiver.admission.in_flight == 0


async def test_what_a_trace_item_said_counts_for_later_requests() -> None:
    async with serving() as running:
        assert (await send(running, body(trace(group_id="g")))).body == {}
        assert running.store.payloads == [], "a trace item alone is no span"
        await send(running, body(span(STEP)))
        await send(running, body(span(STEP, trace_id="trace_" + "1" * 32)))
        told, untold = (values(one.attributes) for one in stored(running))
        assert told["gen_ai.conversation.id"] == "g"
        assert "gen_ai.conversation.id" not in untold


async def test_items_that_are_not_understood_are_named_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    async with serving() as running:
        with caplog.at_level(logging.WARNING):
            answer = await send(running, body(span(STEP), 3, span("x")))
        problem = "data[1]: a number; must be an object; data[2].span_data: a string; must be an object"
        assert answer.status == 200
        assert answer.body == {"partialSuccess": {"rejectedSpans": "2", "errorMessage": problem}}
        assert len(stored(running)) == 1
        assert (running.ledger.refused, running.ledger.refused_requests) == ({"malformed": 2}, {})
        assert "not valid as OpenAI trace ingest: data[1]: a number" in caplog.text


@pytest.mark.parametrize(
    ("content", "cause", "refused"),
    [
        (b"", "JSON: Expecting value", {}),
        (b'{"data": [{"obj', "JSON: Unterminated string", {}),
        (b"[" * 100_000, "JSON: nested too deeply", {}),
        (b"[]", "must be an object with the member data", {}),
        (body(3, 4), "data[0]: a number; must be an object", {"malformed": 2}),
        (body(trace(id=3)), "data[0].id: a number; must be a string", {}),
        (otlp_requests.body(1), "JSON: ", {}),
    ],
)
async def test_what_is_not_understood_at_all_is_refused(content: bytes, cause: str, refused: dict[str, int]) -> None:
    async with serving() as running:
        answer = await send(running, content)
        assert answer.status == 400
        assert cause in answer.body["message"]
        assert "Retry-After" not in answer.headers
        assert (running.ledger.refused_requests, running.ledger.refused) == ({"malformed": 1}, refused)
        assert (await send(running, body(span(STEP)))).status == 200, "the server lives"


@pytest.mark.parametrize("content", [body(), body(trace())])
async def test_requests_without_spans_succeed(content: bytes) -> None:
    async with serving() as running:
        answer = await send(running, content)
        assert (answer.status, answer.body, running.store.payloads) == (200, {}, [])


async def test_what_the_head_alone_refuses() -> None:
    async with serving() as running:
        assert (await send(running, body(), "application/x-protobuf")).status == 415
        assert "takes application/json" in (await send(running, body(), "text/plain")).body["message"]
        assert (await send(running, body(), None)).status == 415
        assert (await send(running, body(), Content_Encoding="br")).status == 415
        answer = await send(running, None, method="GET")
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
        assert "on /v1/traces/ingest" in answer.body["message"]
        assert PATH in (await send(running, body(), path="/v1/traces/other")).body["message"]
        assert (await send(running, body(span(STEP)), path=PATH + "?a=1")).status == 200


@pytest.mark.parametrize("fault", [LogFull("quota", "no room", 2.5), LogUnavailable("read-only", 2.5)])
async def test_come_back_later(fault: Exception) -> None:
    """Never 429, after which older SDKs give up."""
    async with serving() as running:
        running.store.fault = fault
        answer = await send(running, body(span(STEP)))
        assert (answer.status, answer.headers["Retry-After"]) == (503, "3")
        assert sum(running.ledger.refused.values()) == 1


async def test_too_much_in_flight() -> None:
    async with serving(admission=8000) as running:
        running.store.gate = Gate()
        first = asyncio.create_task(send(running, body(span(STEP))))
        await until(lambda: running.store.waiting, "the first request waits for the disk")
        for content in (body(span(STEP)), body(*[span(STEP)] * 2)):
            answer = await send(running, content)
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        assert running.ledger.refused_requests == {"overloaded": 2}
        running.store.gate.set()
        assert (await first).status == 200
        assert running.receiver.admission.in_flight == 0


async def test_too_much_for_memory() -> None:
    async with serving(admission=800_000) as running:
        answer = await send(running, b" " * 100_001)
        assert answer.status == 413
        assert running.receiver.admission.in_flight == 0


async def test_suspended() -> None:
    async with serving() as running:
        running.suspended = True
        assert (await send(running, body(span(STEP)))).status == 200
        assert (running.ledger.suspended, running.store.payloads) == (1, [])


async def test_large_requests_go_through_a_thread_with_the_same_result() -> None:
    many = [span(STEP, id=f"span_{number:016x}{number:08x}") for number in range(1, 1001)]
    async with serving() as running:
        assert (await send(running, body(trace(), *many))).status == 200
        assert running.store.span_ids() == [number.to_bytes(8, "big") for number in range(1, 1001)]
        assert {values(one.attributes)["gen_ai.workflow.name"] for one in stored(running)} == {"Demo"}
        assert running.receiver.admission.in_flight == 0


@pytest.mark.parametrize(("asked", "below"), [(False, b""), (True, bytes.fromhex("00f067aa0ba902b7"))])
async def test_the_request_names_the_parent_only_where_that_is_asked_for(asked: bool, below: bytes) -> None:
    async with serving(parent_from_request=asked) as running:
        await send(running, body(trace(), span(STEP)), traceparent=PARENT)
        await send(running, body(span(STEP, id="span_" + "2" * 24)))
        first, second = stored(running)
        assert (first.parent_span_id, second.parent_span_id) == (below, below)
        assert first.trace_id.hex() == second.trace_id.hex() == (PARENT[3:35] if asked else TRACE[6:])


async def test_what_says_who_sends_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    secret = "sk-secret"
    async with serving(parent_from_request=True) as running:
        with caplog.at_level(logging.DEBUG):
            for content in (body(span(STEP)), body(3), b""):
                answer = await send(running, content, Authorization=f"Bearer {secret}", OpenAI_Organization=secret)
                assert secret not in str(answer)
        assert all(secret.encode() not in payload for payload in running.store.payloads)
        assert secret not in caplog.text


async def test_the_other_path_is_as_it_was() -> None:
    async with serving() as running:
        answer = await send(running, otlp_requests.body(2), "application/x-protobuf", path="/v1/traces")
        assert (answer.status, answer.body) == (200, b"")
        assert len(stored(running)) == 2
        assert SPAN[5:21] not in {one.span_id.hex() for one in stored(running)}
