"""The flight recorder in a whole sidecar: what was sampled out is sent after all, and nothing else."""

from __future__ import annotations

import json
import random
import subprocess
import urllib.request
from collections.abc import Callable, Sequence
from typing import Any

from opentelemetry.proto.trace.v1.trace_pb2 import Span

from programs import Backend
from sidecar_process import SIDECAR, RunningSidecar, Sidecars, manifest, otlp, until
from traces_to_sample import request_of, trace

Start = Callable[..., Backend]
SAMPLING = {
    "decisionWait": "1s",
    "rules": [{"name": "errors", "match": 'trace.status == "error"', "probability": 1}],
    "default": {"type": "Probabilistic", "probabilistic": {"probability": 0}},
}
BILLING = 'span.attributes["gen_ai.agent.name"] == "billing"'


def dump(sidecar: RunningSidecar, *arguments: str, to: str = "a") -> subprocess.CompletedProcess[str]:
    command = [*SIDECAR, "dump", f"--admin=http://127.0.0.1:{sidecar.admin}", f"--to={to}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=50, check=False)


def send(sidecar: RunningSidecar, traces: Sequence[Sequence[Span]]) -> None:
    for spans in traces:
        assert sidecar.send(request_of(spans)) == 200


def made(seed: int, count: int, *, error: bool = False, agent: str = "") -> list[list[Span]]:
    chance = random.Random(seed)
    traces = [trace(chance, error=error) for _ in range(count)]
    for spans in traces:
        for span in spans if agent else ():
            span.attributes.add(key="gen_ai.agent.name").value.string_value = agent
    return traces


def ids(*groups: Sequence[Sequence[Span]]) -> set[str]:
    return {span.span_id.hex() for traces in groups for spans in traces for span in spans}


def redelivered(sidecar: RunningSidecar) -> dict[str, str]:
    sidecar.ledger()  # It closes.
    found: dict[str, str] = json.loads(sidecar.get("/ledger")[1])["delivery"][0].get("redelivered", {})
    return found


def sampled(sidecars: Sidecars, backend: Backend, **sections: Any) -> RunningSidecar:
    return sidecars.start(config=manifest(otlp("a", "GRPC", backend.grpc), sampling=SAMPLING, **sections))


def test_matching_spans_that_were_left_out_are_sent_once_and_booked(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sampled(sidecars, a)
    billing, search = made(1, 10, agent="billing"), made(2, 10, agent="search")
    kept = made(3, 5, error=True, agent="billing")
    send(sidecar, [*billing, *kept, *search])
    book = sidecar.settled()
    assert book["delivery"]["a"]["sampled_out"] == 80
    assert a.ids() == ids(kept)
    early = dump(sidecar, "--since=100ms", f"--where={BILLING}")  # Deciding has taken longer than that.
    assert (early.returncode, early.stdout) == (0, "0 spans were sent to 'a', of 0 that were looked at\n")
    done = dump(sidecar, "--since=10m", f"--where={BILLING}")
    assert done.returncode == 0, done.stderr
    assert "40 spans were sent to 'a', of 100 that were looked at" in done.stdout
    assert "20 match, and sampling has kept them" in done.stdout
    assert a.ids() == ids(kept, billing)
    stats = a.json("/stats")
    assert stats["spans"] == stats["distinct"] == 60
    assert redelivered(sidecar) == {"dump": "40"}
    assert sidecar.ledger()["delivery"]["a"] == book["delivery"]["a"]
    assert 'tracekeeper_spans_redelivered_total{delivery="a",reason="dump"} 40.0' in sidecar.get("/metrics")[1]


def test_verdicts_are_known_after_a_restart(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sampled(sidecars, a)
    out, kept = made(4, 10), made(5, 5, error=True)
    send(sidecar, [*out, *kept])
    sidecar.settled()
    assert sidecar.stop() == 0
    sidecar = sidecars.start()
    last = made(9, 1, error=True)
    send(sidecar, last)
    until(lambda: a.ids() == ids(kept, last), "sampling is at work again")
    done = dump(sidecar)
    assert done.returncode == 0, done.stderr
    assert a.ids() == ids(out, kept, last)
    assert a.json("/stats")["spans"] == 64
    assert sidecar.stop() == 0
    sidecar = sidecars.start()
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    assert redelivered(sidecar) == {"dump": "40"}


def test_spans_of_which_nothing_is_known_are_sent_only_when_asked_for(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sidecars.start(config=manifest(otlp("a", "GRPC", a.grpc)))
    before, out = made(6, 5), made(7, 5)
    send(sidecar, before)
    sidecar.settled()
    none = dump(sidecar)
    assert none.returncode == 1
    assert "nothing is sampled" in none.stderr
    config = manifest(otlp("a", "GRPC", a.grpc))
    sidecars.write({**config, "spec": config["spec"] | {"sampling": SAMPLING}})
    until(lambda: len(sidecar.logged("policy in force")) == 2, "the config is in force")
    send(sidecar, out)
    until(lambda: sidecar.settled()["delivery"]["a"]["sampled_out"] == 20, "what came last is left out")
    done = dump(sidecar)
    assert done.returncode == 0, done.stderr
    assert "20 match, and what was decided about their traces is not known" in done.stdout
    assert (a.json("/stats")["distinct"], a.json("/stats")["spans"]) == (40, 40)
    all_of_them = dump(sidecar, "--forgotten")
    assert all_of_them.returncode == 0, all_of_them.stderr
    assert (a.json("/stats")["distinct"], a.json("/stats")["spans"]) == (40, 80)
    assert redelivered(sidecar) == {"dump": "60"}


def test_there_is_one_at_a_time_and_it_ends_when_asked_and_with_the_sidecar(
    sidecars: Sidecars, start_backend: Start
) -> None:
    a = start_backend("--name", "a")
    sidecar = sampled(sidecars, a)
    out = made(8, 5)
    send(sidecar, out)
    sidecar.settled()
    a.fail("unavailable")
    url = f"http://127.0.0.1:{sidecar.admin}/dump"
    begin = urllib.request.Request(f"{url}?to=a", method="POST")
    with urllib.request.urlopen(begin, timeout=15) as answer:
        assert json.loads(answer.read())["running"]
    second = dump(sidecar)
    assert second.returncode == 1
    assert "a dump is under way" in second.stderr
    with urllib.request.urlopen(urllib.request.Request(f"{url}/stop", method="POST"), timeout=15) as answer:
        stopped = json.loads(answer.read())
    assert (stopped["running"], stopped["problem"], stopped["sent"]) == (False, "it was stopped", 0)
    short = dump(sidecar, "--timeout=200ms")
    assert short.returncode == 1
    assert "time was up after 0.2 s" in short.stderr
    with urllib.request.urlopen(begin, timeout=15) as answer:
        assert json.loads(answer.read())["running"]
    assert sidecar.stop() == 0


def test_what_cannot_be_done_is_said(sidecars: Sidecars, start_backend: Start) -> None:
    a = start_backend("--name", "a")
    sidecar = sampled(sidecars, a)
    until(lambda: sidecar.ledger()["delivery"], "the entry is there")
    wrong = dump(sidecar, "--where=span.names == 1")
    assert wrong.returncode == 1
    assert "span.name" in wrong.stderr
    nobody = dump(sidecar, to="b")
    assert nobody.returncode == 1
    assert "names a backend 'b'" in nobody.stderr
    assert sidecar.get("/dump") == (404, "there was no dump since the sidecar started\n")
