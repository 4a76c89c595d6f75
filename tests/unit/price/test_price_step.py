"""The step Price as a config asks for it, in its pipeline."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tracekeeper_sidecar.process import metrics as of_steps
from tracekeeper_sidecar.process.build import Means, build
from tracekeeper_sidecar.process.pipeline import Pipeline
from tracekeeper_sidecar.process.price import metrics
from tracekeeper_sidecar.process.step import Request
from tracekeeper_spec.parse import parse_spec

NOW = 1_790_000_000 * 10**9
CALL: dict[str, str | int] = {
    "gen_ai.operation.name": "chat",
    "gen_ai.provider.name": "openai",
    "gen_ai.request.model": "gpt-4o",
    "gen_ai.usage.input_tokens": 1_000_000,
}


def pipeline(*prices: dict[str, Any] | None) -> Pipeline:
    steps = [
        {"name": f"price-{at}", "type": "Price"} | ({"price": price} if price else {})
        for at, price in enumerate(prices)
    ]
    parsed, faults = parse_spec({"processors": steps})
    assert not faults
    assert parsed.processors is not None
    return build(parsed.processors, Means())


def override(model: str, dollars: str) -> dict[str, Any]:
    return {"overrides": [{"model": model, "inputPerMillion": dollars, "outputPerMillion": dollars}]}


def body(number: int = 1, *, root: bool = True) -> bytes:
    message = ExportTraceServiceRequest()
    spans = message.resource_spans.add().scope_spans.add().spans
    span = spans.add(trace_id=b"t" * 16, span_id=number.to_bytes(8), parent_span_id=b"p" * 8, end_time_unix_nano=NOW)
    for key, value in CALL.items():
        item = span.attributes.add(key=key).value
        if isinstance(value, int):
            item.int_value = value
        else:
            item.string_value = value
    if root:
        spans.add(trace_id=b"t" * 16, span_id=b"r" * 8, end_time_unix_nano=NOW)
    return message.SerializeToString()


def run(steps: Pipeline, data: bytes) -> list[dict[str, Any]]:
    """What the spans say afterwards."""
    request = Request(data, 2, NOW)
    said: list[Exception | None] = []
    steps.run(request, said.append)
    assert said == [None]
    spans = ExportTraceServiceRequest.FromString(request.body).resource_spans[0].scope_spans[0].spans
    return [
        {each.key: getattr(each.value, each.value.WhichOneof("value") or "") for each in span.attributes}
        for span in spans
    ]


def test_without_a_word_of_its_own_it_goes_by_the_book() -> None:
    call, root = run(pipeline(None), body())
    assert (call["gen_ai.usage.cost"], call["tracekeeper.cost.source"]) == (2.5, "computed")
    assert root == {"tracekeeper.trace.cost": 2.5}


def test_overrides_of_a_later_step_hold_in_the_first() -> None:
    steps = pipeline(override("other", "9"), override("gpt-4o", "2"))
    call, root = run(steps, body())
    assert (call["gen_ai.usage.cost"], call["tracekeeper.cost.source"]) == (2.0, "own")
    assert root == {"tracekeeper.trace.cost": 2.0}


def test_a_new_config_goes_on_with_the_sums_of_the_old_one() -> None:
    before, after = pipeline(None), pipeline(override("gpt-4o", "2"))
    run(before, body(1, root=False))
    after.keep(before)
    assert run(after, body(2))[1] == {"tracekeeper.trace.cost": 4.5}
    counts = {sample.labels[1]: sample.value for sample in after.samples() if sample.metric is metrics.CALLS}
    assert {source: value for source, value in counts.items() if value} == {"own": 1, "computed": 1}


def test_all_its_metrics_are_declared() -> None:
    shown = {sample.metric for sample in pipeline(None).samples()}
    assert set(metrics.TABLE) <= shown <= set(of_steps.TABLE)
