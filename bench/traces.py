"""Load for tail samplers: traces of 16 spans, each spread over several requests; some have an error, some are slow.

Requests are numbered. A block of `phases` requests holds whole traces, their spans interleaved and each trace's root at
its end, as SDKs send it: when it has ended. Serialised once; only ids, status codes and end times are patched, which
lie evenly, because all spans have the same size.

A trace id is "tk", the trace's kind, the load's seed, the trace's number, and eight bytes that look drawn by lot: what
samplers look at. So whoever sees a span knows whether its trace had to be kept.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Status
from spans import SPANS_PER_TRACE, attributes, fill

Bytes = npt.NDArray[np.uint8]
Numbers = npt.NDArray[np.uint64]
ONE_IN = 50
"""One trace in so many has an error, and one in so many is slow, independently."""
SPREAD = 4
"""A trace lies in at least so many requests."""
KINDS = ORDINARY, ERROR, SLOW, BOTH = b"oesb"
ID = rb"\x0a\x10tk([oesb])(.{5}).{8}"
PLACE = rb"\x12\x08\x00{7}(.)"
FORWARD = re.compile(ID + PLACE, re.DOTALL)
BACKWARD = re.compile(PLACE + ID, re.DOTALL)
MARK = bytes.fromhex("f00dfacecafe4317") * 2
LAST = SPANS_PER_TRACE - 1
ERRONEOUS = (7, LAST)
"""The places whose spans have the status error in a trace that has one."""
START = 1_760_000_000_000_000_000
STEP, USUAL, LONG = 20_000_000, 350_000_000, 1_400_000_000
"""Nanoseconds: between two spans' starts, of a whole trace, and of a slow one."""
OK, FAULTY = 1, 2
"""Status codes of OTLP."""


class Traces:
    """Numbered requests of `spans` spans; `rootless` ones belong to traces whose root is another program's."""

    def __init__(self, spans: int, seed: int = 0, *, rootless: bool = False) -> None:
        if not 0 <= seed < 256:
            raise ValueError(f"seed {seed} is not a byte")
        least = SPANS_PER_TRACE // math.gcd(spans, SPANS_PER_TRACE)
        self.spans, self._seed = spans, seed
        self.phases = least * -(-SPREAD // least)
        self.block = spans * self.phases // SPANS_PER_TRACE
        """Traces in so many requests as `phases` says."""
        places = np.arange(spans * self.phases, dtype=np.int64).reshape(self.phases, spans)
        self._trace, place = places % self.block, places // self.block
        self._may_fail, self._last = np.isin(place, ERRONEOUS), place == LAST
        self._templates = [_serialised(row.tolist(), rootless) for row in place]
        self._newest = (-1, np.zeros(0, "V16"), np.zeros(0, dtype=np.uint8))
        self._lay_out(rootless)

    def __len__(self) -> int:
        return len(self._templates[0])

    def _lay_out(self, rootless: bool) -> None:
        first = self._templates[0].tobytes()
        self._first = first.index(MARK)
        self._step = first.index(MARK, self._first + 1) - self._first if self.spans > 1 else 0
        one, other = (_serialised([LAST], rootless, code, end) for code, end in ((OK, b"\1"), (FAULTY, b"\xfe")))
        differing = np.flatnonzero(one != other) - one.tobytes().index(MARK)
        self._end, self._code = int(differing[0]), int(differing[-1])
        if len(differing) != 9 or any(t.tobytes().count(MARK) != self.spans for t in self._templates):
            raise ValueError("spans are not laid out as they must be to be patched")

    def request(self, number: int) -> bytes:
        """The request of this number; the same each time."""
        block, phase = divmod(number, self.phases)
        ids, kinds = self._traces(block)
        copy, trace = self._templates[phase].copy(), self._trace[phase]
        self._field(copy, 0, "V16")[:] = ids[trace]
        faulty = ((kinds == ERROR) | (kinds == BOTH))[trace] & self._may_fail[phase]
        self._field(copy, self._code, "u1")[faulty] = FAULTY
        slow = ((kinds == SLOW) | (kinds == BOTH))[trace] & self._last[phase]
        self._field(copy, self._end, "<u8")[slow] = START + LONG
        return copy.tobytes()

    def _field(self, copy: Bytes, offset: int, kind: str) -> npt.NDArray[Any]:
        """A field of each span, so many bytes after its trace id."""
        return np.ndarray(self.spans, kind, copy.data, self._first + offset, (self._step,))

    def _traces(self, block: int) -> tuple[npt.NDArray[np.void], Bytes]:
        """Ids and kinds of a block's traces; the newest are kept, as requests are asked for in their order."""
        if self._newest[0] != block:
            numbers = np.arange(block * self.block, (block + 1) * self.block, dtype=np.uint64)
            kinds = self._kinds(numbers)
            self._newest = (block, self._ids(numbers, kinds), kinds)
        return self._newest[1:]

    def sent(self, requests: int) -> dict[str, int]:
        """What so many requests held, from the first: traces, and of them those that must be kept."""
        traces = requests // self.phases * self.block
        kinds = self._kinds(np.arange(traces, dtype=np.uint64))
        return {"traces": traces, "forced": int(np.count_nonzero(kinds != ORDINARY))}

    def _kinds(self, traces: Numbers) -> Bytes:
        drawn = _mixed(traces + np.uint64(self._seed << 40 | 1 << 60))
        error, slow = drawn % np.uint64(ONE_IN) == 0, (drawn >> np.uint64(32)) % np.uint64(ONE_IN) == 0
        kinds: Bytes = np.frombuffer(KINDS, dtype=np.uint8)[error + 2 * slow]
        return kinds

    def _ids(self, traces: Numbers, kinds: Bytes) -> npt.NDArray[np.void]:
        ids = np.empty((len(traces), len(MARK)), dtype=np.uint8)
        ids[:, :2] = np.frombuffer(b"tk", dtype=np.uint8)
        ids[:, 2], ids[:, 3] = kinds, self._seed
        ids[:, 4:8] = traces.astype(">u4").view(np.uint8).reshape(-1, 4)
        ids[:, 8:] = _mixed(traces + np.uint64(self._seed << 40)).view(np.uint8).reshape(-1, 8)
        return ids.view("V16").ravel()


def found(body: bytes) -> list[tuple[bytes, bytes, int]]:
    """Of each span of this load in a body: its trace's kind, seed and number, and its own place, from 1.

    The Collector writes a message's fields the other way round, the last one first.
    """
    spans = [(kind, trace, place[0]) for kind, trace, place in FORWARD.findall(body)]
    return spans or [(kind, trace, place[0]) for place, kind, trace in BACKWARD.findall(body)]


def _mixed(numbers: Numbers) -> Numbers:
    """Numbers that look drawn by lot, by the finaliser of splitmix64 (Steele, Lea and Flood, 2014)."""
    z = (numbers + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed: Numbers = z ^ (z >> np.uint64(31))
    return mixed


def _serialised(places: Sequence[int], rootless: bool, code: int = OK, end: bytes = b"") -> Bytes:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": "bench", "k8s.namespace.name": "bench"})
    scope = resource.scope_spans.add()
    scope.scope.name = "bench"
    for number, place in enumerate(places):
        span = scope.spans.add(**_span(place, rootless))
        span.trace_id = MARK
        span.status.code = Status.StatusCode.ValueType(code)
        if end:
            span.end_time_unix_nano = int.from_bytes(end * 8, "little")
        fill(span.attributes, attributes(number, 0))
    return np.frombuffer(message.SerializeToString(), dtype=np.uint8)


def _span(place: int, rootless: bool) -> dict[str, Any]:
    """Fields of the span at a place. A root's name is longer by what its parent's id would take: all have one size."""
    itself = {"span_id": (place + 1).to_bytes(8, "big"), "start_time_unix_nano": START + place * STEP}
    if place < LAST:
        parent = {"parent_span_id": SPANS_PER_TRACE.to_bytes(8, "big"), "name": "chat gpt-4o", "kind": 3}
        return itself | parent | {"end_time_unix_nano": START + place * STEP + STEP}
    last = {"end_time_unix_nano": START + USUAL}
    if rootless:
        return itself | last | {"parent_span_id": b"elsewher", "name": "chat gpt-4o", "kind": 3}
    return itself | last | {"start_time_unix_nano": START, "name": "invoke_agent traveler", "kind": 2}
