"""What the meter keeps can be gone on from by the version before, when an upgrade is taken back, and loses nothing for
this one. That version knows the kinds up to `workflow`, names without an environment, and no member that is new."""

from __future__ import annotations

import json
import zlib
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from metered_spans import NOW, add, fill
from tracekeeper_sidecar.meter import checkpoint, tables
from tracekeeper_sidecar.meter.spend import Spend
from tracekeeper_sidecar.model import Position
from tracekeeper_sidecar.price.asking import asking
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.wire import held, layout, table
from tracekeeper_sidecar.wire.component import KINDS
from tracekeeper_sidecar.wire.tally import Tally
from tracekeeper_sidecar.wire.tariffs import Tariffs

KNOWN = ("", "other", "llm", "embedding", "retriever", "tool", "agent", "workflow")
LATER = [kind for kind in KINDS if kind not in KNOWN]
MILLISECONDS = NOW * 1000


def make(told: list[tuple[str, ...]] | None = None) -> Tally:
    tally = Tally(tables.make(), Tariffs(asking(Prices(()))), seed=1)
    if told is not None:
        tally.tell(lambda at, agent, model, names, *numbers: told.append(names))
    return tally


def request(kinds: list[str], agent: str) -> bytes:
    """Spans of these kinds in one trace."""
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    fill(resource.resource.attributes, {"service.name": "shop", "deployment.environment.name": "prod"})
    spans = resource.scope_spans.add().spans
    for number, kind in enumerate(kinds, 1):
        said: dict[str, Any] = {"gen_ai.operation.name": "step", "tracekeeper.kind": kind, "user.id": "u"}
        if agent:
            said["gen_ai.agent.name"] = agent
        add(spans, b"t" * 16, bytes([number]) * 8, b"p" * 8, 1, NOW * 10**9, 10**9, said)
    return message.SerializeToString()


def saved(tally: Tally) -> bytes:
    """A checkpoint, as the meter makes it."""
    names, packed = tally.names(), tally.pack()
    head = checkpoint.head(tables.copy_of(tally), names, Position(1, 64, 0), 0, b"", tally.later_kinds)
    return checkpoint.MAGIC + zlib.compress(len(head).to_bytes(4, "little") + head + packed)


def by_kind(tally: Tally) -> dict[str, int]:
    """Spans that are counted as operations, by their kinds."""
    family, metric = tally.families["operations"], tables.COUNTED["operations"]
    place = metric.labels.index("kind") - 1
    return {KINDS[family.key(row) >> 8 * place & 255]: family.numbers(row)[0] for row in family.rows()}


def test_the_version_before_finds_no_kind_that_it_does_not_know() -> None:
    tally = make([])
    tally.take(request(["pipeline", "runner", "llm"], "planner"), MILLISECONDS)
    tally.take(request([*LATER, "llm"], "").replace(b"t" * 16, b"w" * 16), MILLISECONDS)
    assert tally.held == len(LATER) + 1
    unpacked = zlib.decompress(saved(tally)[len(checkpoint.MAGIC) :])
    end = 4 + int.from_bytes(unpacked[:4], "little")
    head, packed = json.loads(unpacked[4:end]), unpacked[end:]
    for metric in tables.COUNTED.values():
        if "kind" in metric.labels:
            shift = 8 * (metric.labels.index("kind") - 1)
            found = {row[0] >> shift & 255 for row in head["families"][metric.name]["rows"]}
            assert found and max(found) < len(KNOWN), metric.name
    assert {len(each) for each in head["names"] if each is not None} == {3}
    kinds, at = set(), 12
    for _ in range(int.from_bytes(packed[:4], "little")):
        left = int.from_bytes(packed[at + 8 * layout.CHAIN :][:8], "little") >> 32
        at += table.RECORD
        for _ in range(left):
            kinds.add(packed[at + 8 * layout.KEY + 2])
            at += held.RECORD
    assert kinds and max(kinds) < len(KNOWN)


def test_this_version_goes_on_with_every_kind_and_environment() -> None:
    before, told = make([]), list[tuple[str, ...]]()
    before.take(request(["pipeline", "runner", "llm"], "planner"), MILLISECONDS)
    before.take(request([*LATER, "llm"], "").replace(b"t" * 16, b"w" * 16), MILLISECONDS)
    body, after = saved(before), make(told)
    checkpoint.restore(after, checkpoint.read(body))
    before.settle(MILLISECONDS, everything=True)
    after.settle(MILLISECONDS, everything=True)
    assert by_kind(after) == by_kind(before)
    assert set(LATER) <= by_kind(after).keys()
    assert {names[3] for names in told} == {"prod"}


def test_the_version_before_loses_no_money_of_two_environments() -> None:
    spend = Spend("log", lambda: float(NOW))
    spend.note(NOW, "a", "m", "u", "p", "", 1, 1, 0, "prod")
    spend.dump()  # Seals that; what comes now waits until the operator has it.
    spend.note(NOW, "a", "m", "u", "p", "", 5, 7, 0, "prod")
    spend.note(NOW, "a", "m", "u", "p", "", 3, 1, 1, "dev")
    dump = spend.dump()
    # What it makes of rows: by their five names, the three numbers after them.
    rows = {tuple(row[:5]): row[5:8] for row in json.loads(dump)["rows"]}
    assert list(rows.values()) == [[8, 8, 1]]
    # And this version still has them apart.
    after = Spend("log", lambda: float(NOW))
    after.load(dump)
    after.written()
    after.stored("log", 1)
    after.dump()
    after.written()
    assert [(row.environment, row.nano) for row in after.statements()[0].rows] == [("prod", 5), ("dev", 3)]
