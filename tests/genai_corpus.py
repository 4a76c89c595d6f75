"""The conformance corpus of `corpus/genai`: its cases, and what spans say in the words of its golden forms."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tracekeeper_sidecar.process import normalize, price
from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.step import Request, Step
from tracekeeper_sidecar.wire import openai_json
from tracekeeper_sidecar.wire.otlp_json import json_to_protobuf
from tracekeeper_spec.normalize import Normalize
from tracekeeper_spec.price import Price
from tracekeeper_spec.processor import Processor, ProcessorType

CORPUS = Path(__file__).parent / "corpus" / "genai"
NOW = 1_767_225_600_000_000_000
"""When the spans of the corpus began."""
MODEL_CALLS = ("llm", "embedding")

_KINDS = {
    "chat": "llm", "text_completion": "llm", "generate_content": "llm", "embeddings": "embedding",
    "execute_tool": "tool", "invoke_agent": "agent", "create_agent": "agent", "invoke_workflow": "pipeline",
    "retrieval": "retriever",
}  # fmt: skip
_FIELDS = {
    "provider": "gen_ai.provider.name",
    "request_model": "gen_ai.request.model",
    "response_model": "gen_ai.response.model",
    "input": "gen_ai.usage.input_tokens",
    "output": "gen_ai.usage.output_tokens",
    "cache_read": "gen_ai.usage.cache_read.input_tokens",
    "cache_write": "gen_ai.usage.cache_write.input_tokens",
    "reasoning": "gen_ai.usage.reasoning.output_tokens",
    "input_audio": "gen_ai.usage.audio.input_tokens",
    "output_audio": "gen_ai.usage.audio.output_tokens",
    "basis": "tracekeeper.token_basis",
    "agent": "gen_ai.agent.name",
    "tool": "gen_ai.tool.name",
    "workflow": "gen_ai.workflow.name",
    "conversation": "gen_ai.conversation.id",
    "user": "user.id",
    "repeated": "tracekeeper.usage.repeated",
}
_PARTS = ("cache_read", "cache_write", "reasoning", "input_audio", "output_audio")


@dataclass(frozen=True)
class Case:
    """One case of one dialect."""

    dialect: str
    name: str

    def __str__(self) -> str:
        return f"{self.dialect}-{self.name}"

    @property
    def text(self) -> bytes:
        """What the SDK exported: OTLP's JSON, or the body of OpenAI's trace ingest."""
        return (CORPUS / self.dialect / f"{self.name}.json").read_bytes()

    def body(self) -> bytes:
        """It as a serialised ExportTraceServiceRequest, by the receivers' own conversions."""
        if "data" in json.loads(self.text):
            converted = openai_json.convert(self.text, lambda name: None)
            assert not converted.refused, converted.problem
            return converted.payload
        return json_to_protobuf(self.text)

    @property
    def golden(self) -> dict[str, Any]:
        """`served` by the local model, `told` by the calls that count, and the `spans` in the order of their ends."""
        return json.loads((CORPUS / self.dialect / f"{self.name}.expected.json").read_text())  # type: ignore[no-any-return]


def cases() -> list[Case]:
    """All of them."""
    paths = sorted(path for path in CORPUS.glob("*/*.json") if not path.name.endswith(".expected.json"))
    return [Case(path.parent.name, path.stem) for path in paths if path.parent.name != "make"]


def normalizer() -> Step:
    """The step Normalize as its defaults are."""
    return normalize.make(Processor("normalize", ProcessorType.NORMALIZE, normalize=Normalize()), Means())


def pricer() -> Step:
    """The step Price as its defaults are."""
    return price.make(Processor("price", ProcessorType.PRICE, price=Price()), Means())


def through(body: bytes, *steps: Step) -> bytes:
    """The body after these steps."""
    request = Request(body, len(spans_of(body)), NOW)
    for step in steps:
        step.run(request)
    return request.body


def spans_of(body: bytes) -> list[Span]:
    """Its spans in the order of their ends, of equal ones those inside first."""
    asked = ExportTraceServiceRequest.FromString(body)
    found = [span for one in asked.resource_spans for scope in one.scope_spans for span in scope.spans]
    return sorted(found, key=lambda span: (span.end_time_unix_nano, -span.start_time_unix_nano))


def one_by_one(body: bytes) -> Iterator[bytes]:
    """A request for each span, in the order of their ends: as an exporter sends them that does not wait for more."""
    order = {span.span_id: number for number, span in enumerate(spans_of(body))}
    single: dict[int, bytes] = {}
    for one in ExportTraceServiceRequest.FromString(body).resource_spans:
        for scope in one.scope_spans:
            for span in scope.spans:
                request = ExportTraceServiceRequest()
                resource = request.resource_spans.add()
                resource.CopyFrom(one)
                del resource.scope_spans[:]
                alone = resource.scope_spans.add()
                alone.scope.CopyFrom(scope.scope)
                alone.spans.add().CopyFrom(span)
                single[order[span.span_id]] = request.SerializeToString()
    for number in sorted(single):
        yield single[number]


def attributes(span: Span) -> dict[str, Any]:
    """Its attributes that are plain values, by name; the last of two of a name."""
    found = {}
    for item in span.attributes:
        which = item.value.WhichOneof("value")
        if which in ("string_value", "bool_value", "int_value", "double_value"):
            found[item.key] = getattr(item.value, which)
    return found


def form(span: Span) -> dict[str, Any]:
    """What the span says in the words of the golden forms; a part of usage that is 0 is as good as none."""
    has = attributes(span)
    operation = has.get("gen_ai.operation.name")
    said = {"name": span.name, "kind": has.get("tracekeeper.kind", _KINDS.get(operation or "")), "operation": operation}
    said |= {field: has.get(key) for field, key in _FIELDS.items()}
    return {field: value for field, value in said.items() if value is not None and not (field in _PARTS and value == 0)}


def counted(forms: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The calls of models that count: those that no other span repeats."""
    return [one for one in forms if one.get("kind") in MODEL_CALLS and not one.get("repeated")]
