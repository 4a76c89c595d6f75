"""Requests that are damaged on purpose, and what must hold of each; for the tests, and a program for scripts/asan.sh.

    python tests/wire_fuzz.py --seconds 20          look for damage that the scanner or the evaluator does not bear
    python tests/wire_fuzz.py --write               the same, and add what is new to the kept corpus

The corpus keeps one request for every kind of verdict that was ever seen: in which field the scanner stopped, and why.
Each line is the bytes in hexadecimal and the verdict.
"""

from __future__ import annotations

import argparse
import random
import re
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

from tracekeeper_sidecar.errors import WireError
from tracekeeper_sidecar.process.build import Means, build
from tracekeeper_sidecar.process.step import Request, Step
from tracekeeper_sidecar.wire import scan
from tracekeeper_sidecar.wire.attributes import Changes
from tracekeeper_sidecar.wire.cut import NO_LIMIT, cut
from tracekeeper_sidecar.wire.drop import Drop
from tracekeeper_sidecar.wire.fold import Folder
from tracekeeper_sidecar.wire.keep import Keep
from tracekeeper_sidecar.wire.keys import Keys
from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_sidecar.wire.meter import Sight
from tracekeeper_sidecar.wire.shard import Sharder
from tracekeeper_sidecar.wire.traces import SHUTDOWN, Traces
from tracekeeper_sidecar.wire.traces import verdict as settled
from tracekeeper_sidecar.wire.varint import delimited, encode
from tracekeeper_sidecar.wire.verdict import Judge
from tracekeeper_spec.condition import compile_condition, compile_trace
from tracekeeper_spec.condition.code import TraceCodes
from tracekeeper_spec.condition.trace import combine
from tracekeeper_spec.faults import Fault
from tracekeeper_spec.processor import ProcessorType
from tracekeeper_spec.processor_fields import PROCESSORS
from tracekeeper_spec.walk import read

CORPUS = Path(__file__).parent / "unit/wire/corpus.txt"
LONGEST = 400
"""Bytes of a request that is kept."""

CONDITIONS = [
    'span.attributes["a"] == "b" || span.attributes.n + 1 > 2 || "x" in span.attributes["list"]',
    'resource.attributes["a"].matches("^b+$") && span.duration > 1s || span.status_message.contains("e")',
    'size(span.attributes["list"]) > 0 && size(span.name) != 3 && !span.is_root || span.kind in ["server", "client"]',
]
TRACE_CONDITIONS = [
    'trace.errors > 0 && span.attributes["a"] == "b" || trace.root.name.contains("p")',
    'event.name == "e" && event.attributes["a"] == "b"',
    'resource.attributes["a"].matches("^b+$") && trace.priority == "critical" || trace.duration > 1s',
]
INTERESTING = [0, 1, 2, 7, 8, 10, 16, 18, 24, 34, 42, 58, 74, 122, 127, 128, 130, 133, 193, 224, 237, 244, 255]
SIZES = [0, 1, 127, 128, 2**14, 2**21, 2**28, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**35, 2**63, 2**64 - 1]


def seeds() -> list[bytes]:
    """Small requests that together have every field of OTLP, made by hand, so that no library is needed."""

    def attribute(key: bytes, value: bytes) -> bytes:
        return delimited(1, key) + delimited(2, value)

    values = [
        delimited(1, b"b"),
        b"\x10\x01",
        b"\x18\x05",
        b"\x21" + bytes(7) + b"\x40",
        delimited(7, b"\x00\xff"),
        b"",
    ]
    values.append(delimited(5, delimited(1, delimited(1, b"x")) + delimited(1, b"\x18\x01")))
    values.append(delimited(6, delimited(1, attribute(b"a", delimited(1, "ß".encode())))))
    names = [b"a", b"n", b"list", b"http.route", "ß".encode(), b"tracekeeper.priority", b"list", b""]
    attributes = [attribute(name, value) for name, value in zip(names, values, strict=True)]
    attributes.append(attribute(b"tracekeeper.priority", delimited(1, b"critical")))
    ids = delimited(1, b"t" * 16) + delimited(2, b"s" * 8)
    event = b"\x09" + bytes(8) + delimited(2, b"e") + delimited(3, attributes[0])
    link = ids + delimited(3, b"k=v") + delimited(4, attributes[1]) + b"\x35" + bytes(4)
    rest = delimited(3, b"vendor=1") + delimited(4, b"p" * 8) + delimited(5, "spän".encode()) + b"\x30\x02"
    rest += b"\x39" + b"\x01" * 8 + b"\x41" + b"\x02" * 8 + delimited(15, delimited(2, b"e") + b"\x18\x02")
    rest += b"\x50\x01\x60\x01\x70\x01" + encode(16 << 3 | 5) + b"\x00\x03\x00\x00"
    spans = [ids, ids + rest, *(ids + delimited(9, attribute) for attribute in attributes)]
    spans += [ids + delimited(11, event), ids + delimited(13, link), ids + delimited(40, b"later") + b"\xf8\x07\x01"]
    resource = delimited(1, delimited(1, attributes[0]) + b"\x10\x01" + delimited(3, delimited(2, b"host")))
    scope = delimited(1, delimited(1, b"lib") + delimited(2, b"1") + delimited(3, attributes[1])) + delimited(3, b"u")
    spans.append(ids + delimited(3, b"a=b, ot=th:c;x:y;rv:00000000000001,c=d"))
    single = [delimited(1, delimited(2, delimited(2, span))) for span in spans]
    whole = delimited(
        1, resource + delimited(2, scope + b"".join(delimited(2, s) for s in spans[:3])) + delimited(3, b"u")
    )
    return [b"", *single, whole, single[0] + single[1]]


def damaged(chance: random.Random, bodies: list[bytes]) -> bytes:
    """One of `bodies`, changed in one to four ways."""
    body = bytearray(chance.choice(bodies))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(body) + 1)
        match chance.randrange(8):
            case 0:
                del body[at:]
            case 1:
                body[at : at + 1] = bytes([chance.choice(INTERESTING)])
            case 2:
                body[at : at + 1] = bytes([chance.randrange(256)])
            case 3:
                body[at : at + 1] = encode(chance.choice(SIZES))
            case 4:
                del body[at : at + chance.randint(1, 9)]
            case 5:
                body[at:at] = body[at : at + chance.randint(1, 40)]
            case 6:
                other = chance.choice(bodies)
                body[at:] = other[chance.randrange(len(other) + 1) :]
            case _:
                body[at : at + 1] = bytes([body[at] ^ 1 << chance.randrange(8)]) if at < len(body) else b""
    return bytes(body[: 4 * LONGEST])


def verdict(body: bytes, look: Callable[[bytes], Sight] = scan.look) -> str:
    """The number of spans and what they are, or in which field the request is refused and why. Numbers are left out."""
    try:
        sight = look(body)
    except WireError as error:
        place = ".".join(error.path.split(".")[-2:])
        return re.sub(r"\[?[0-9]+\]?", "#", f"{place}: {str(error).partition(': ')[2]}")
    of = min(sight.requests, 2), min(sight.errors, 1), sight.critical
    return f"holds {min(sight.spans, 3)} spans, requests {of[0]}, errors {of[1]}, critical {of[2]}"


def exercise(body: bytes, matchers: list[Matcher]) -> str:
    """Everything that reads raw requests reads this one; returns the verdict. What the scanner lets pass can be cut."""
    found = verdict(body)
    for matcher in matchers:
        try:
            rest, kept, others = matcher.split(body)
        except ValueError:
            assert not found.startswith("holds"), (body.hex(), "was refused after it had passed")
            continue
        if found.startswith("holds"):
            spans = scan.count_spans(body)
            assert (kept + others, scan.count_spans(rest)) == (spans, kept), body.hex()
    sampled(body, found)
    sharded(body, found)
    processed(body, found)
    taken_through(body, found)
    if found.startswith("holds"):
        assert sum(spans for _, spans in cut(body, 1, NO_LIMIT)) == scan.count_spans(body)
    return found


def processed(body: bytes, found: str) -> None:
    """Drops spans of it, and changes attributes of its spans and resources in all ways."""
    for step in steps():
        try:
            rest, *gone = step(body)
        except ValueError:
            assert not found.startswith("holds"), (body.hex(), "was refused after it had passed")
            continue
        if found.startswith("holds"):
            assert scan.count_spans(rest) + sum(gone) == scan.count_spans(body), body.hex()


def taken_through(body: bytes, found: str) -> None:
    """Has the steps of a pipeline change it that know generative AI; they get only what the scanner lets pass."""
    if not found.startswith("holds"):
        return
    spans = scan.count_spans(body)
    for step in pipeline():
        request = Request(body, spans, 1_760_000_000_000_000_000)
        step.run(request)
        assert scan.count_spans(request.body) == request.spans, body.hex()
        assert request.spans + sum(request.refused.values()) == spans, body.hex()


@cache
def pipeline() -> tuple[Step, ...]:
    kinds = (ProcessorType.NORMALIZE, ProcessorType.PRICE, ProcessorType.DETECT, ProcessorType.REDACT)
    faults: list[Fault] = []
    processors = read(PROCESSORS, [{"name": str(kind).lower(), "type": str(kind)} for kind in kinds], "", faults)
    assert not faults
    return build(processors, Means()).steps


@cache
def steps() -> list[Callable[[bytes], tuple[bytes, int] | tuple[bytes]]]:
    put = delimited(1, b"a") + delimited(2, delimited(1, b"new"))
    drop = Drop([Matcher(compile_condition(text)) for text in CONDITIONS])
    changes = [
        Changes([("n", "m", False), ("list", "other", True)], [""], [("a", missing)], matcher, of_resource)
        for missing in (False, True)
        for matcher, of_resource in ((None, False), (None, True), (Matcher(compile_condition(CONDITIONS[0])), False))
    ]
    return [drop.run, *(lambda body, each=each: (each.run(body, (put,))[0],) for each in changes)]


def sharded(body: bytes, found: str) -> None:
    """Cuts it into one request for each of three addresses."""
    try:
        parts = Sharder(["a", "b", "c"]).split(body)
    except ValueError:
        assert not found.startswith("holds"), (body.hex(), "was refused after it had passed")
        return
    if found.startswith("holds"):
        assert sum(spans for _, _, spans in parts) == scan.count_spans(body), body.hex()
        assert all(scan.count_spans(part) == spans for _, part, spans in parts), body.hex()


def sampled(body: bytes, found: str) -> None:
    """Folds it into a table, decides about its traces in all ways in turn, and cuts it."""
    codes, table = trace_codes(), Traces(seed=1)
    keys = Keys(["service.name", "a", "operation"], most=2)
    folder = Folder(table, codes.span_tests, codes.root_tests, keys)
    keep = Keep(table, lambda trace_id: 0)
    try:
        spans = folder.fold(body, 1_760_000_000_000)
    except ValueError:
        assert not found.startswith("holds"), (body.hex(), "was refused after it had passed")
        return
    judge = Judge(codes.codes)
    for number, slot in enumerate(table.due(SHUTDOWN)):
        rule = judge.first(table, slot) + 1
        table.decide(slot, settled(rule, (number + 1) % 3 << 54, keep=number % 4 != 1, erase=number % 4 == 2))
    cut = keep.cut(body)
    assert cut is not None and cut.kept + sum(cut.left_out) == spans, body.hex()
    if found.startswith("holds"):
        assert (scan.count_spans(body), scan.count_spans(cut.body)) == (spans, cut.kept), body.hex()
        assert table.count == 0, body.hex()


@cache
def trace_codes() -> TraceCodes:
    return combine([compile_trace(text) for text in TRACE_CONDITIONS])


def matchers() -> list[Matcher]:
    return [Matcher(compile_condition(text)) for text in CONDITIONS]


def corpus() -> Iterator[tuple[bytes, str]]:
    """The kept requests with their verdicts."""
    for line in CORPUS.read_text(encoding="utf-8").splitlines():
        body, _, found = line.partition(" ")
        yield bytes.fromhex(body.removeprefix("0x")), found


def hunt(seconds: float, seed: int) -> tuple[int, dict[str, bytes]]:
    """How many damaged requests were tried in that time, and the shortest one for each verdict that is not kept yet."""
    chance, runners = random.Random(seed), matchers()
    known = {found: body for body, found in corpus()} if CORPUS.exists() else {}
    new: dict[str, bytes] = {}
    bodies = [*seeds(), *known.values()]
    for body in seeds():
        if (found := exercise(body, runners)) not in known:
            new[found] = body
    for body, found in corpus() if CORPUS.exists() else ():
        assert exercise(body, runners) == found, (body.hex(), found)
    end = time.monotonic() + seconds
    tried = 0
    while time.monotonic() < end:
        body = damaged(chance, bodies)
        found = exercise(body, runners)
        tried += 1
        if found not in known and len(body) <= LONGEST and len(body) < len(new.get(found, bytes(LONGEST + 1))):
            bodies.append(body)
            new[found] = body
    return tried, new


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    tried, new = hunt(options.seconds, options.seed)
    print(f"{tried} damaged requests, {len(new)} new verdicts, by {scan.__file__}")
    if options.write:
        kept = {**{found: body for body, found in corpus()}, **new} if CORPUS.exists() else new
        lines = sorted(f"0x{body.hex()} {found}" for found, body in kept.items())
        CORPUS.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
