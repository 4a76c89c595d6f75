"""A small AI agent to trace: asks a model, uses a tool, answers. It uses OpenTelemetry's Python SDK.

Where traces go is decided by the standard OTEL_* environment alone (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT,
OTEL_EXPORTER_OTLP_TRACES_PROTOCOL, OTEL_SERVICE_NAME, OTEL_BSP_*, …), as in any instrumented application: it
knows nothing of Tracekeeper. Its own settings:

    AGENT_RUNS              how many runs (one trace of four spans each), then stop; 0, the default: for ever
    AGENT_RUNS_PER_SECOND   5 by default, 20 spans a second
    AGENT_LISTEN            HOST:PORT for the endpoints below; absent: none. Port 0 takes any free one
    AGENT_ACKNOWLEDGED_FILE file to append acknowledged span ids to, one a line; absent: none
    AGENT_LINGER            seconds to stay after the last run, so that the endpoints can be read; default 0
    AGENT_PROMPT_BYTES      size of the recorded prompt; default 120

Endpoints: GET /stats (JSON), GET /acknowledged (span ids that the exporter reported as delivered, one
a line), GET /created (ids of every span that ended); POST /misbehave, until POST /behave (see runaway.py). The last
line printed is `summary {JSON}`, with what /stats answers.
"""

import sys
import time

STARTED = time.time()
print(f"started {STARTED:.6f}", flush=True)  # the first act: everything below is slow to import

import http.server  # noqa: E402
import json  # noqa: E402
import logging  # noqa: E402
import os  # noqa: E402
import random  # noqa: E402
import signal  # noqa: E402
import threading  # noqa: E402
from collections.abc import Sequence  # noqa: E402

from opentelemetry import trace  # noqa: E402
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider  # noqa: E402
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult  # noqa: E402
from runaway import Runaway  # noqa: E402

KEEP_IDS = 2_000_000
MODEL = "gpt-4o"
WHO = "I am ada@example.com. "
"""People write such things into prompts; nobody has told the agent to keep them out of its traces."""
QUESTIONS = ("Lyon", "Oslo", "Kyoto", "Quito", "Cairo", "Perth", "Bergen", "Lima")


def protocol() -> str:
    """The protocol that the environment names; http/protobuf without one, as the specification says."""
    general = os.environ.get("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf")
    return os.environ.get("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", general).strip()


def official_exporter() -> SpanExporter:
    """The SDK's own OTLP exporter, configured by the environment. SystemExit on an unknown protocol."""
    if protocol() == "grpc":
        from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

        return GrpcExporter()
    if protocol() == "http/protobuf":
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return HttpExporter()
    sys.exit(f"agent: OTEL_EXPORTER_OTLP_TRACES_PROTOCOL={protocol()!r} is neither grpc nor http/protobuf")


class Journal:
    """What became of the spans and the application. Two threads write, each to fields of its own."""

    def __init__(self, path: str | None) -> None:
        self.created: list[str] = []
        self.acknowledged: list[str] = []
        self.failed = 0
        self.runs = 0
        self.slowest_run = 0.0
        self.latest = 0.0
        self.first_span = 0.0
        self.done = False
        self._file = open(path, "a", encoding="ascii") if path else None

    def keep(self, ids: list[str]) -> None:
        """Add acknowledged ids, here and to the file."""
        self.acknowledged += ids[: KEEP_IDS - len(self.acknowledged)]
        if self._file is not None:
            self._file.write("".join(f"{i}\n" for i in ids))
            self._file.flush()

    def stats(self) -> dict[str, object]:
        """Counts, and the seconds that show whether tracing held the application up."""
        return {
            "started": STARTED,
            "first_span": self.first_span,
            "protocol": protocol(),
            "runs": self.runs,
            "created": len(self.created),
            "acknowledged": len(self.acknowledged),
            "failed": self.failed,
            "slowest_run_seconds": round(self.slowest_run, 4),
            "behind_schedule_seconds": round(self.latest, 4),
            "done": self.done,
        }


class Recorder(SpanExporter):
    """Passes spans on to another exporter and writes down which ones it reported as delivered."""

    def __init__(self, inner: SpanExporter, journal: Journal) -> None:
        self._inner = inner
        self._journal = journal

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        try:
            result = self._inner.export(spans)
        except Exception as error:
            logging.warning("exporter failed: %s", error)
            result = SpanExportResult.FAILURE
        ids = [f"{s.context.span_id:016x}" for s in spans if s.context is not None]
        if result is SpanExportResult.SUCCESS:
            self._journal.keep(ids)
        else:
            self._journal.failed += len(ids)
        return result

    def shutdown(self) -> None:
        self._inner.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._inner.force_flush(timeout_millis)


class Agent:
    """One agent: every run is a trace `invoke_agent` → `chat`, `execute_tool`, `chat`."""

    def __init__(self, tracer: trace.Tracer, journal: Journal, prompt_bytes: int) -> None:
        self._tracer = tracer
        self._journal = journal
        self._prompt = (WHO + "What should I wear today? " * (prompt_bytes // 26 + 1))[:prompt_bytes]
        self._random = random.Random(4317)

    def run(self, number: int) -> str:
        """Do one run; returns what it did as a line for people."""
        city = QUESTIONS[number % len(QUESTIONS)]
        degrees = self._random.randint(-5, 35)
        attributes: dict[str, str | int] = {
            "gen_ai.operation.name": "invoke_agent",
            "gen_ai.agent.name": "weather",
            "agent.run": number,
        }
        with self._tracer.start_as_current_span("invoke_agent weather", attributes=attributes) as root:
            self._chat("tool_calls", 90)
            self._tool(city, degrees)
            self._chat("stop", 40)
        self.mark(root)
        return f"run {number}: {city} {degrees:+d} °C"

    def _chat(self, reason: str, output_tokens: int) -> None:
        attributes: dict[str, str | int | Sequence[str]] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": "openai",
            "gen_ai.request.model": MODEL,
            "gen_ai.response.model": f"{MODEL}-2024-08-06",
            "gen_ai.input.messages": self._prompt,
            "gen_ai.response.finish_reasons": [reason],
            "gen_ai.usage.input_tokens": 20 + len(self._prompt) // 4,
            "gen_ai.usage.output_tokens": output_tokens + self._random.randint(0, 20),
        }
        kind = trace.SpanKind.CLIENT
        with self._tracer.start_as_current_span(f"chat {MODEL}", kind=kind, attributes=attributes) as span:
            time.sleep(0.004)
        self.mark(span)

    def _tool(self, city: str, degrees: int) -> None:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": "get_weather",
            "gen_ai.tool.call.arguments": json.dumps({"city": city}),
            "gen_ai.tool.call.result": json.dumps({"degrees": degrees}),
        }
        with self._tracer.start_as_current_span("execute_tool get_weather", attributes=attributes) as span:
            time.sleep(0.002)
        self.mark(span)

    def mark(self, span: trace.Span) -> None:
        """Write down that a span ended; from any thread."""
        self._journal.first_span = self._journal.first_span or time.time()
        if len(self._journal.created) < KEEP_IDS:
            self._journal.created.append(f"{span.get_span_context().span_id:016x}")


def serve(address: str, journal: Journal, runaway: Runaway) -> None:
    """Answer the endpoints from a thread of its own."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            known = self.path in ("/misbehave", "/behave")
            if known:
                runaway.turn(self.path == "/misbehave")
            self._say(200 if known else 404, b"ok\n" if known else b"try one of /misbehave, /behave\n")

        def do_GET(self) -> None:
            bodies = {
                "/stats": lambda: json.dumps(journal.stats()) + "\n",
                "/acknowledged": lambda: "".join(f"{i}\n" for i in list(journal.acknowledged)),
                "/created": lambda: "".join(f"{i}\n" for i in list(journal.created)),
            }
            known = bodies.get(self.path)
            body = (known() if known else f"try one of {', '.join(bodies)}\n").encode()
            self._say(200 if known else 404, body)

        def _say(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are not worth a line."""

    host, _, port = address.rpartition(":")
    server = http.server.ThreadingHTTPServer((host or "0.0.0.0", int(port)), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, name="stats", daemon=True).start()
    print(f"listening {server.server_address[1]}", flush=True)


def work(agent: Agent, journal: Journal, runs: int, rate: float, stop: threading.Event) -> None:
    """Runs on a fixed schedule until told to stop; how late they get shows what tracing costs."""
    begin = time.monotonic()
    while not stop.is_set() and (not runs or journal.runs < runs):
        due = begin + journal.runs / rate
        if stop.wait(max(0.0, due - time.monotonic())):
            break
        at = time.monotonic()
        journal.latest = max(journal.latest, at - due)
        line = agent.run(journal.runs)
        took = time.monotonic() - at
        journal.runs += 1
        journal.slowest_run = max(journal.slowest_run, took)
        counts = f"spans {len(journal.created)}, acknowledged {len(journal.acknowledged)}, failed {journal.failed}"
        print(f"{line} in {took * 1000:.0f} ms ({counts})", flush=True)


def main() -> None:
    """Trace, work, report."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s %(name)s: %(message)s", stream=sys.stdout)
    environment = os.environ
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    journal = Journal(environment.get("AGENT_ACKNOWLEDGED_FILE"))
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Recorder(official_exporter(), journal)))
    agent = Agent(provider.get_tracer("demo.agent"), journal, int(environment.get("AGENT_PROMPT_BYTES", "120")))
    if address := environment.get("AGENT_LISTEN"):
        serve(address, journal, Runaway(provider.get_tracer("demo.agent"), MODEL, agent.mark))
    print(f"ready after {time.time() - STARTED:.3f} s, tracing over {protocol()}", flush=True)
    rate = float(environment.get("AGENT_RUNS_PER_SECOND", "5"))
    work(agent, journal, int(environment.get("AGENT_RUNS", "0")), rate, stop)
    provider.force_flush(30_000)
    journal.done = True
    print(f"summary {json.dumps(journal.stats())}", flush=True)
    stop.wait(float(environment.get("AGENT_LINGER", "0")))
    provider.shutdown()


if __name__ == "__main__":
    main()
