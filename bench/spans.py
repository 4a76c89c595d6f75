"""Requests for load: serialised once; each copy gets new trace ids by patching bytes, some 50 µs for 512 spans."""

from __future__ import annotations

import os
import re

import masking
import numpy as np
from numpy.lib.stride_tricks import as_strided
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

SPANS_PER_TRACE = 16
MARK = bytes.fromhex("f00dfacecafe4317")
"""First half of every trace id in the template; the second half counts the traces. Occurs nowhere else in it."""
ONCE = b"gen_ai.operation.name"
"""What every span holds once, and nothing else does: counting it counts spans, at the speed of a search."""
NUMBERED = re.compile(rb"\x0a\x10tkpr(.{4}).{8}\x12\x08.{4}(.{4})", re.DOTALL)
"""A span of a numbered request, anywhere in a body: the numbers of its request and of the span in it, big-endian."""


class Template:
    """One ExportTraceServiceRequest of `spans` spans with ten gen_ai attributes, about 394 bytes each.

    With `prompt` each span carries an eleventh of so many bytes, as agents' spans do that record what was said. In
    `bare` ones there is something to be masked in one value of the ten.
    """

    def __init__(self, spans: int, prompt: int = 0, *, bare: bool = False) -> None:
        self.spans, self.prompt = spans, prompt
        serialised = _build(spans, prompt, bare)
        if serialised.count(MARK) != spans or count(serialised) != spans:
            raise ValueError("a mark occurs outside its place: choose another")
        self._bytes = np.frombuffer(serialised, dtype=np.uint8)
        self._first = serialised.index(MARK)
        self._step = serialised.index(MARK, self._first + 1) - self._first if spans > 1 else 8

    def __len__(self) -> int:
        return len(self._bytes)

    def request(self, number: int | None = None) -> bytes:
        """A copy with new trace ids: the first half of each is drawn anew, or says the request's number."""
        half = os.urandom(8) if number is None else b"tkpr" + number.to_bytes(4, "big")
        copy = self._bytes.copy()
        # Every span has the same size, so that the ids lie evenly and one strided assignment reaches them all.
        ids = as_strided(copy[self._first :], (self.spans, 8), (self._step, 1))
        ids[:] = np.frombuffer(half, dtype=np.uint8)
        return copy.tobytes()


def count(body: bytes) -> int:
    """The spans in a body made of these requests, however they were joined or cut."""
    return body.count(ONCE)


def numbers(body: bytes) -> list[tuple[int, int]]:
    """Request and span of each span of numbered requests, in the order of the body."""
    return [(int.from_bytes(a, "big"), int.from_bytes(b, "big")) for a, b in NUMBERED.findall(body)]


def _build(spans: int, prompt: int, bare: bool) -> bytes:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": "bench", "k8s.namespace.name": "bench"})
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    start = 1_760_000_000_000_000_000
    for number in range(spans):
        trace, place = divmod(number, SPANS_PER_TRACE)
        span = scope.spans.add(name="chat gpt-4o", kind=3)
        span.trace_id = MARK + (trace + 1).to_bytes(8, "big")
        span.span_id = b"span" + (number + 1).to_bytes(4, "big")
        # A trace's first span has a parent elsewhere: all spans must have the same size.
        span.parent_span_id = b"span" + (trace * SPANS_PER_TRACE + 1 if place else 2**31).to_bytes(4, "big")
        span.start_time_unix_nano = start + number * 1_000_000
        span.end_time_unix_nano = span.start_time_unix_nano + 350_000_000
        fill(span.attributes, attributes(number, prompt, bare=bare))
    return message.SerializeToString()


def attributes(number: int, prompt: int, *, bare: bool = False) -> dict[str, str | int]:
    """A span's ten attributes, of one size whatever its number; with a prompt an eleventh."""
    said: dict[str, str | int] = {"gen_ai.input.messages": _prose(prompt)} if prompt else {}
    tool = {"gen_ai.tool.description": masking.value(number)} if bare else {"gen_ai.tool.name": f"s-{number % 97:03d}"}
    return said | {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "gpt-4o",
        "gen_ai.response.model": "gpt-4o",
        "gen_ai.response.id": f"{number:06d}",
        "gen_ai.usage.input_tokens": 412 + number % 100,
        "gen_ai.usage.output_tokens": 133 + number % 50,
        "gen_ai.agent.name": "travel",
        **tool,
        "gen_ai.request.top_k": 40,
    }


def _prose(size: int) -> str:
    """So many bytes of text as people write it, for what looks at values (redaction) to look at."""
    text = "Find me a flight from Lisbon to Oslo next Tuesday, window seat, under 300 euros, and tell me what to pack. "
    return (text * (size // len(text) + 1))[:size]


def fill(target, values: dict[str, str | int]) -> None:  # type: ignore[no-untyped-def] # protobuf's container has no public type
    """Put values into a message's repeated KeyValue."""
    for key, value in values.items():
        item = target.add(key=key)
        if isinstance(value, int):
            item.value.int_value = value
        else:
            item.value.string_value = value
