"""Spans of agents to be metered, and what they are to be counted as: a plain account, with objects and dictionaries."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.meter.reading import Histogram, Reading
from tracekeeper_sidecar.price.prices import Prices
from tracekeeper_sidecar.price.tariff import Usage

NOW = 1_700_000_000
MODELS = (("openai", "gpt-4o"), ("openai", "gpt-4o-mini"), ("anthropic", "claude-sonnet-4-0"), ("nobody", "house-7b"))
KINDS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "retrieval": "retriever", "execute_tool": "tool", "invoke_agent": "agent", "create_agent": "agent",
    "invoke_workflow": "workflow",
}  # fmt: skip
Said = dict[str, str | int | list[str]]
Counts = dict[str, Counter[tuple[str, ...]]]


def agent_runs(seed: int, traces: int) -> Iterator[ExportTraceServiceRequest]:
    """One request for each of some traces of an agent; most of the spans that it makes have no agent's name."""
    chance = random.Random(seed)
    for _ in range(traces):
        yield _run(chance)


def _run(chance: random.Random) -> ExportTraceServiceRequest:
    message = ExportTraceServiceRequest()
    resource = message.resource_spans.add()
    plain = chance.random() < 0.2
    said: Said = {"service.name": "web" if plain else "shop"}
    if chance.random() < 0.1:
        said["gen_ai.agent.name"] = "resident"
    fill(resource.resource.attributes, said)
    spans = resource.scope_spans.add().spans
    trace, root, agent = chance.randbytes(16), chance.randbytes(8), chance.randbytes(8)
    start = NOW * 10**9
    if plain:
        add(spans, trace, root, b"", Span.SPAN_KIND_SERVER, start, chance.randrange(10**10), {}, chance.random() < 0.3)
        add(spans, trace, chance.randbytes(8), root, Span.SPAN_KIND_INTERNAL, start, 10**6, {})
        return message
    talk = f"talk-{chance.randrange(40)}" if chance.random() < 0.5 else ""
    for _ in range(chance.randrange(8)):
        _call(chance, spans, trace, agent if chance.random() < 0.8 else root, start, talk)
    for _ in range(chance.randrange(4)):
        _use_tool(chance, spans, trace, agent, start)
    name: Said = {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": f"agent-{chance.randrange(2)}"}
    add(spans, trace, agent, root, Span.SPAN_KIND_INTERNAL, start, chance.randrange(10**11), name)
    failed = chance.random() < 0.2
    add(spans, trace, root, b"", Span.SPAN_KIND_SERVER, start, chance.randrange(10**11), {}, failed)
    return message


def _call(chance: random.Random, spans: object, trace: bytes, parent: bytes, start: int, talk: str) -> None:
    provider, model = chance.choice(MODELS)
    said: Said = {
        "gen_ai.operation.name": chance.choice(("chat", "text_completion", "embeddings")),
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
        "gen_ai.response.finish_reasons": [chance.choice(("stop", "length"))],
        "http.response.status_code": 200,
    }
    if chance.random() < 0.9:
        said["gen_ai.usage.input_tokens"] = chance.choice((0, 7, 1000, 130_000, -5, 2 * 10**9))
        said["gen_ai.usage.output_tokens"] = chance.choice((0, 1, 333, 10_000))
    if chance.random() < 0.2:
        said["gen_ai.usage.cache_read.input_tokens"] = chance.choice((1, 500, 2000))
    if talk:
        said["gen_ai.conversation.id"] = talk
    add(spans, trace, chance.randbytes(8), parent, Span.SPAN_KIND_CLIENT, start, chance.randrange(10**11), said)


def _use_tool(chance: random.Random, spans: object, trace: bytes, parent: bytes, start: int) -> None:
    said: Said = {"gen_ai.operation.name": "execute_tool", "gen_ai.tool.name": f"tool-{chance.randrange(4)}"}
    failed = chance.random() < 0.3
    if failed:
        said["error.type"] = chance.choice(("timeout", "_OTHER"))
    own = chance.randbytes(8)
    inner = chance.random()
    if inner < 0.6:  # By MCP, whose client makes a span, too; sometimes that alone.
        above = own if inner < 0.4 else parent
        mcp = said | {"mcp.method.name": "tools/call"}
        add(spans, trace, chance.randbytes(8), above, Span.SPAN_KIND_CLIENT, start, 10**7, mcp, failed)
    if inner < 0.4 or inner >= 0.6:
        add(spans, trace, own, parent, Span.SPAN_KIND_INTERNAL, start, 10**8, said, failed)


def add(
    spans: object,
    trace: bytes,
    span: bytes,
    parent: bytes,
    kind: int,
    start: int,
    took: int,
    said: Said,
    failed: bool = False,
) -> None:
    """A span more in a ScopeSpans."""
    made = spans.add(  # type: ignore[attr-defined] # protobuf's container has no public type
        trace_id=trace, span_id=span, parent_span_id=parent, name="span", kind=kind,
        start_time_unix_nano=start, end_time_unix_nano=start + took,
    )  # fmt: skip
    fill(made.attributes, said)
    if failed:
        made.status.code = 2


def fill(target: object, said: Said) -> None:
    """Attributes with texts, whole numbers or lists of texts."""
    for key, value in said.items():
        item = target.add(key=key)  # type: ignore[attr-defined] # as above
        if isinstance(value, int):
            item.value.int_value = value
        elif isinstance(value, str):
            item.value.string_value = value
        else:
            for each in value:
                item.value.array_value.values.add(string_value=each)


@dataclass
class _Trace:
    named: list[str] = field(default_factory=list)
    """Agents in the order in which they were named, by their own spans or others."""
    agent: str = ""
    """Of whom its request is."""
    agents: dict[bytes, str] = field(default_factory=dict)
    tools: set[bytes] = field(default_factory=set)
    operations: list[tuple[str, Span, Said]] = field(default_factory=list)
    requests: list[tuple[str, Span, Said]] = field(default_factory=list)
    calls: int = 0


def expected(messages: Iterable[ExportTraceServiceRequest]) -> Counts:
    """Counts by the metrics' names, without `alerts`; of histograms, how many observations."""
    counts: Counts = defaultdict(Counter)
    traces: dict[bytes, _Trace] = defaultdict(_Trace)
    for message in messages:
        for resource in message.resource_spans:
            of_resource = _said(resource.resource.attributes)
            for scope in resource.scope_spans:
                for span in scope.spans:
                    _sort(counts, traces[span.trace_id], span, of_resource)
    prices = Prices(())
    seen: set[str] = set()
    for trace in traces.values():
        for service, span, said in trace.operations:
            _count_operation(counts, trace, service, span, said, prices, seen)
        for service, span, said in trace.requests:
            agent = str(said.get("gen_ai.agent.name", "")) or trace.agent
            status = "error" if span.status.code == 2 else "ok"
            error = str(said.get("error.type", ""))
            counts["tracekeeper_requests_total"][service, agent, "", status, error] += 1
            counts["tracekeeper_request_duration_seconds"][service, agent, ""] += 1
        if trace.requests:
            counts["tracekeeper_request_calls"][trace.requests[-1][0], trace.agent, ""] += 1
    return counts


def _sort(counts: Counts, trace: _Trace, span: Span, of_resource: Said) -> None:
    service, own = str(of_resource.get("service.name", "")), _said(span.attributes)
    said = {key: of_resource[key] for key in ("gen_ai.agent.name",) if key in of_resource} | own
    operation = str(said.get("gen_ai.operation.name", ""))
    kind = KINDS.get(operation, "other")
    counts["tracekeeper_metered_spans_total"][service, kind] += 1
    agent = str(said.get("gen_ai.agent.name", ""))
    if operation:
        trace.operations.append((service, span, said))
        if agent:
            trace.named.append(agent)
            if kind == "agent" or not trace.agent:
                trace.agent = agent
            if kind == "agent":
                trace.agents[span.span_id] = agent
        if kind == "tool" and "mcp.method.name" not in said:
            trace.tools.add(span.span_id)
    if not span.parent_span_id or span.kind in (Span.SPAN_KIND_SERVER, Span.SPAN_KIND_CONSUMER):
        trace.requests.append((service, span, said))
        trace.agent = trace.agent or agent


def _count_operation(
    counts: Counts, trace: _Trace, service: str, span: Span, said: Said, prices: Prices, seen: set[str]
) -> None:
    operation = str(said["gen_ai.operation.name"])
    kind, own = KINDS.get(operation, "other"), str(said.get("gen_ai.agent.name", ""))
    agent = own or trace.agents.get(span.parent_span_id, "")
    if not agent and kind != "agent" and len(set(trace.named)) == 1:
        agent = trace.named[0]
    provider, model = str(said.get("gen_ai.provider.name", "")), str(said.get("gen_ai.request.model", ""))
    status, error = "error" if span.status.code == 2 else "ok", str(said.get("error.type", ""))
    counts["tracekeeper_operations_total"][service, agent, kind, operation, provider, model, status, error] += 1
    counts["tracekeeper_operation_duration_seconds"][service, agent, kind, model] += 1
    if kind == "tool" and not ("mcp.method.name" in said and span.parent_span_id in trace.tools):
        tool = str(said["gen_ai.tool.name"])
        counts["tracekeeper_tool_calls_total"][service, agent, tool, status, error] += 1
    if kind not in ("llm", "embedding"):
        return
    talk = str(said.get("gen_ai.conversation.id", ""))
    if talk and talk not in seen:
        seen.add(talk)
        counts["conversations"]["",] += 1
    reasons = said["gen_ai.response.finish_reasons"]
    assert isinstance(reasons, list)
    counts["tracekeeper_finish_reasons_total"][service, agent, model, reasons[0]] += 1
    names = ("input_tokens", "output_tokens", "cache_read.input_tokens")
    numbers = [int(str(said.get(f"gen_ai.usage.{name}", 0))) for name in names]
    sound = "gen_ai.usage.input_tokens" in said and min(numbers) >= 0 and max(numbers) <= 10**9
    came, went, read = numbers if sound else (0, 0, 0)
    for kind_of_tokens, number in (("input", came), ("output", went)):
        if number:
            counts["tracekeeper_tokens_total"][service, agent, "", provider, model, kind_of_tokens] += number
    if read:
        counts["tracekeeper_token_details_total"][service, provider, model, "cache_read"] += read
    tariff = prices.tariff(provider, model, NOW)
    cost = tariff.cost(Usage(came, went, read)) if tariff is not None and sound else None
    if cost is None:
        counts["tracekeeper_unpriced_calls_total"][service, provider, model] += 1
        counts["tracekeeper_unpriced_tokens_total"][service, provider, model] += came + went
    else:
        counts["tracekeeper_cost_dollars_total"][service, agent, "", provider, model] += cost
        if talk:
            counts["conversation_cost"]["",] += cost


def _said(attributes: Iterable[object]) -> Said:
    found: Said = {}
    for each in attributes:
        value = each.value  # type: ignore[attr-defined] # as above
        match value.WhichOneof("value"):
            case "string_value":
                found[each.key] = value.string_value  # type: ignore[attr-defined]
            case "int_value":
                found[each.key] = value.int_value  # type: ignore[attr-defined]
            case "array_value":
                found[each.key] = [each.string_value for each in value.array_value.values]  # type: ignore[attr-defined]
    return found


def counted(reading: Reading) -> Counts:
    """A reading in the same shape: dollars in billionths, and conversations' counts in one sum."""
    counts: Counts = defaultdict(Counter)
    for metric, rows in reading.families.items():
        for row in rows:
            value = sum(row.value.counts) if isinstance(row.value, Histogram) else row.value
            dollars = metric.unit == "dollars"
            if metric.name == "tracekeeper_conversations_total":
                counts["conversations"]["",] += int(value)
            elif metric.name == "tracekeeper_conversation_cost_dollars_total":
                counts["conversation_cost"]["",] += round(value * 10**9)
            else:
                counts[metric.name][row.labels[1:]] += round(value * 10**9) if dollars else int(value)
    return counts


def differences(reading: Reading, messages: Iterable[ExportTraceServiceRequest]) -> list[str]:
    """What was not counted as it should have been, in words."""
    wanted, found = expected(messages), counted(reading)
    texts = []
    for name, rows in wanted.items():
        wrong = (labels for labels in rows.keys() | found[name].keys() if rows[labels] != found[name][labels])
        texts += [f"{name}{labels}: {found[name][labels]}, not {rows[labels]}" for labels in wrong]
    return texts
