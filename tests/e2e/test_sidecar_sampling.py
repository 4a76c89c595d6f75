"""Sampling in a whole sidecar: what is kept arrives, the rest is booked, whatever is restarted or changed meanwhile."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from programs import Backend
from sidecar_process import RunningSidecar, Sidecars, manifest, otlp, until
from traces_to_sample import request_of, trace

Start = Callable[..., Backend]
ERRORS = {"name": "errors", "match": 'trace.status == "error"', "probability": 1}
NOTHING_ELSE = {"type": "Probabilistic", "probabilistic": {"probability": 0}}


def sampling(*rules: dict[str, Any], wait: str = "1s", default: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"decisionWait": wait, "rules": list(rules), "default": default or NOTHING_ELSE}


def send(sidecar: RunningSidecar, *spans: Span) -> None:
    assert sidecar.send(request_of(spans)) == 200


def in_force(sidecar: RunningSidecar, times: int) -> bool:
    return len(sidecar.logged("policy in force")) == times


def ids(traces: Sequence[Sequence[Span]]) -> set[str]:
    return {span.span_id.hex() for spans in traces for span in spans}


def test_traces_that_a_rule_keeps_arrive_whole_and_all_others_are_booked(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a, archive = start_backend("--name", "a"), start_backend("--name", "archive")
    chance = random.Random(1)
    good = [trace(chance) for _ in range(40)]
    bad = [trace(chance, error=True) for _ in range(10)]
    sidecar = sidecars.start(
        config=manifest(
            otlp("a", "GRPC", a.grpc),
            otlp("archive", "HTTP", archive.http),
            sampling=sampling(ERRORS),
            delivery=[
                {"name": "main", "backends": ["a"]},
                {"name": "all", "backends": ["archive"], "spans": "All"},
            ],
        )
    )
    # Every trace comes in pieces, and its error comes last.
    for number in range(4):
        send(sidecar, *(spans[number] for spans in good + bad))
    book = sidecar.settled()
    assert a.ids() == ids(bad)
    assert archive.ids() == ids(good + bad)
    assert book["delivery"]["main"] | {"start": 0} == book["delivery"]["main"]
    assert (book["delivery"]["main"]["delivered"], book["delivery"]["main"]["sampled_out"]) == (40, 160)
    assert (book["delivery"]["all"]["delivered"], book["delivery"]["all"]["sampled_out"]) == (200, 0)
    metrics = sidecar.get("/metrics")[1]
    assert 'tracekeeper_spans_sampled_out_total{delivery="main",rule="default"} 160.0' in metrics
    found = dict(re.findall(r"^tracekeeper_(kept_log_\w+|log_quota_bytes) (\S+)$", metrics, re.MULTILINE))
    assert 0 < float(found["kept_log_bytes"]) <= float(found["kept_log_quota_bytes"]) == float(found["log_quota_bytes"])
    assert float(found["kept_log_room_bytes"]) > 0


def test_a_kill_in_the_middle_of_the_window_loses_no_decision(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    chance = random.Random(2)
    traces = [trace(chance, error=number % 5 == 0) for number in range(50)]
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), sampling=sampling(ERRORS, wait="3s")))
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    for number in range(3):
        send(sidecar, *(spans[number] for spans in traces))
        sidecar.kill()
        sidecar = sidecars.start()
    send(sidecar, *(spans[3] for spans in traces))
    book = sidecar.settled()
    bad = [spans for number, spans in enumerate(traces) if number % 5 == 0]
    assert a.ids() == ids(bad)
    assert book["delivery"]["a"] == {
        "start": 0, "pending": 0, "delivered": 40, "dropped": 0, "sampled_out": 160, "unmatched": 0,
    }  # fmt: skip


def test_kills_while_entries_move_from_one_log_to_the_other_lose_nothing(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    chance = random.Random(5)
    plain = manifest(otlp("a", "GRPC", a.grpc))
    on = {**plain, "spec": plain["spec"] | {"sampling": sampling(ERRORS, wait="100ms")}}
    sidecar = sidecars.start(config=plain)
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    bad = []
    for number in range(8):
        sidecars.write(plain if number % 2 else on)
        for _ in range(chance.randrange(1, 60)):  # The kill may come at any moment of the move.
            bad.append(trace(chance, error=True))
            send(sidecar, *bad[-1])
        sidecar.kill()
        sidecar = sidecars.start()
    entry = sidecar.settled()["delivery"]["a"]
    assert a.ids() == ids(bad)
    assert entry["start"] + entry["delivered"] + entry["sampled_out"] == 4 * len(bad) and not entry["dropped"], entry


def test_spans_that_come_late_follow_the_decision_also_after_a_restart(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    chance = random.Random(3)
    bad, good = trace(chance, 6, error=True), trace(chance, 6)
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc), sampling=sampling(ERRORS)))
    send(sidecar, *bad[3:], *good[3:])
    assert sidecar.settled()["delivery"]["a"]["sampled_out"] == 3
    send(sidecar, bad[0], good[0])
    assert sidecar.settled()["delivery"]["a"]["sampled_out"] == 4
    assert sidecar.stop() == 0
    sidecar = sidecars.start()
    send(sidecar, *bad[1:3], *good[1:3])
    until(lambda: sidecar.ledger()["acknowledged"] == 12, "they are stored")
    assert sidecar.settled()["delivery"]["a"]["sampled_out"] == 6
    assert a.ids() == ids([bad])


def test_sampling_is_switched_on_and_off_while_spans_wait_and_nothing_is_lost(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    a.fail("unavailable")
    chance = random.Random(4)
    plain = manifest(otlp("a", "HTTP", a.http))
    sidecar = sidecars.start(config=plain)
    sent: list[tuple[bool, list[Span]]] = []
    for times, on in enumerate((False, True, False, True), start=1):
        sidecars.write({**plain, "spec": plain["spec"] | ({"sampling": sampling(ERRORS)} if on else {})})
        until(partial(in_force, sidecar, times), "the config is in force")
        traces = [trace(chance, error=number % 2 == 0) for number in range(10)]
        for spans in traces:
            send(sidecar, *spans)
        sent += [(on, spans) for spans in traces]
    assert sidecar.ledger()["acknowledged"] == 160
    a.fail("ok")
    entry = sidecar.settled(60)["delivery"]["a"]
    assert entry["delivered"] + entry["sampled_out"] == 160 and not entry["dropped"], entry
    stats = a.json("/stats")
    assert stats["spans"] == stats["distinct"] == entry["delivered"], "something came twice"
    bad = ids([spans for _, spans in sent if spans[-1].status.code == 2])
    assert bad <= a.ids() <= ids([spans for _, spans in sent])
    # What came last is sampled, and what comes from now on.
    assert not a.ids() & ids([spans for _, spans in sent[30:] if spans[-1].status.code != 2])
    good = trace(chance)
    send(sidecar, *good)
    assert sidecar.settled()["delivery"]["a"]["sampled_out"] == entry["sampled_out"] + 4
