"""What redaction costs a span, and a byte of hostile text: `python bench/redaction.py [seconds]`.

CPU time of one thread, the best of many rounds; requests of 50 spans if nothing else is said.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator

import masking
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from spans import Template

from tracekeeper_sidecar.process.redact.engine import Engine
from tracekeeper_sidecar.process.redact.prefilter import EVERYTHING, Prefilter, Suspicion
from tracekeeper_spec.redact import Redact
from tracekeeper_spec.redact_fields import REDACT
from tracekeeper_spec.walk import read

MEGABYTE = 1 << 20
_OWN = {"patterns": [{"name": "staff", "pattern": r"\bEMP-\d{6}\b"}], "names": ["Ada Lovelace", "Project Nightingale"]}


class Blind(Prefilter):
    """As where Hyperscan does not run."""

    def suspect(self, body: bytes) -> Suspicion:
        return EVERYTHING


def wish(**written: object) -> Redact:
    """The section of a config."""
    found = read(REDACT, written, "redact", [])
    assert isinstance(found, Redact)
    return found


def best(work: Callable[[], object], seconds: float) -> float:
    """Nanoseconds of one call: the least of what is seen in so many seconds."""
    least, until = float("inf"), time.monotonic() + seconds
    while time.monotonic() < until or least == float("inf"):
        begin = time.thread_time_ns()
        work()
        least = min(least, time.thread_time_ns() - begin)
    return least


def changed(spans: int, prompt: int, change: Callable[[int], tuple[str, str] | None]) -> bytes:
    """A request, with one more attribute for each span of which `change` says one."""
    request = ExportTraceServiceRequest.FromString(Template(spans, prompt).request())
    for number, span in enumerate(request.resource_spans[0].scope_spans[0].spans):
        if (said := change(number)) is not None:
            span.attributes.add(key=said[0]).value.string_value = said[1]
    return request.SerializeToString()


def jobs() -> Iterator[tuple[str, int, bytes, Redact]]:
    """What is measured for each span: its name, spans in the request, the request, the config."""
    plain = wish()
    for spans in (512, 50, 1):
        yield f"clean, {spans} a request", spans, Template(spans).request(), plain
    yield "clean, own pattern and names", 50, Template(50).request(), wish(**_OWN)
    yield "clean, 4,000-byte prompt", 50, Template(50, 4000).request(), plain
    yield "server.address, a name", 50, changed(50, 0, lambda _: ("server.address", "api.models.example")), plain
    yield "server.address, an IP", 50, changed(50, 0, lambda n: ("server.address", f"10.0.3.{n}")), plain
    yield "1 value in 10 dirty", 50, changed(50, 0, _dirty), plain
    yield "1 value in 10 dirty, 4,000", 50, changed(50, 4000, _dirty), plain
    yield "every span dirty", 50, changed(50, 0, lambda n: ("said", masking.value(n))), plain
    yield "messageContent: Redact", 50, Template(50, 4000).request(), wish(messageContent="Redact")


def _dirty(number: int) -> tuple[str, str] | None:
    return ("said", masking.value(number // 10)) if number % 10 == 0 else None


def hostile() -> Iterator[tuple[str, str]]:
    """Texts of a megabyte that are the worst for something."""
    yield "digits", "4" * MEGABYTE
    yield "digits and spaces", "4 " * (MEGABYTE // 2)
    yield "cards that are none", "4111 1111 1111 1112 " * (MEGABYTE // 20)
    yield "@", "@" * MEGABYTE
    yield "a@a@a@", "a@" * (MEGABYTE // 2)
    yield "a@a.", "a@a." * (MEGABYTE // 4)
    yield "addresses of mail", "a@bc.de " * (MEGABYTE // 8)
    yield "dots and digits", "1.1." * (MEGABYTE // 4)
    yield "colons and digits", "fe80:" * (MEGABYTE // 5)
    yield "IBANs that are none", "DE00 1111 1111 1111 1111 " * (MEGABYTE // 25)
    yield "tokens without an end", "eyJ" + "a" * MEGABYTE
    yield "beginnings of tokens", "eyJaaaaaaaaa." * (MEGABYTE // 13)
    yield "sk-sk-sk-", "sk-" * (MEGABYTE // 3)
    yield "URLs without a host", "x://a:" * (MEGABYTE // 6)
    yield "keys without an end", "-----BEGIN PRIVATE KEY-----" * (MEGABYTE // 27)
    yield "backslashes", '{"a": "' + "\\" * MEGABYTE
    yield "escapes", '{"a": "' + "\\u0040" * (MEGABYTE // 6) + '"}'
    yield "quotes", '{"' + '"' * MEGABYTE
    yield "keys", '{"email":' * (MEGABYTE // 9)
    yield "1,000 deep", '{"x":' * 1000 + '{"password":"a@bc.de"}' + "}" * 1000 + " " * MEGABYTE
    yield "a megabyte of brackets", '["a@bc.de",' + "[" * MEGABYTE


def main(seconds: float) -> None:
    """Print both tables."""
    print(f"{'':32}{'ns/span':>10}{'ns/byte':>9}{'blind, ns/span':>16}")
    for name, spans, body, wanted in jobs():
        engine = Engine(wanted)

        def fresh(engine: Engine = engine, body: bytes = body) -> object:
            engine.forget()
            return engine.redact(body)

        taken = best(fresh, seconds)
        engine.prefilter = Blind(wanted)
        blind = best(fresh, seconds)
        print(f"{name:32}{taken / spans:10.0f}{taken / len(body):9.2f}{blind / spans:16.0f}", flush=True)
    print(f"\n{'a megabyte of':32}{'ms':>10}{'ns/byte':>9}  outcome")
    engine = Engine(wish(**_OWN))
    for name, text in hostile():
        request = ExportTraceServiceRequest.FromString(Template(1).request())
        request.resource_spans[0].scope_spans[0].spans[0].attributes.add(key="said").value.string_value = text
        body = request.SerializeToString()
        taken = best(lambda body=body: engine.redact(body), 0)  # type: ignore[misc]
        outcome = engine.redact(body)
        said = f"refused: {outcome.problem}" if outcome.gone else f"{sum(outcome.values.values())} hidden"
        print(f"{name:32}{taken / 1e6:10.1f}{taken / len(body):9.2f}  {said}", flush=True)


if __name__ == "__main__":
    main(float(sys.argv[1]) if len(sys.argv) > 1 else 0.5)
