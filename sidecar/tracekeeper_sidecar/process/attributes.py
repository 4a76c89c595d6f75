"""The step that copies, renames, deletes and sets attributes of spans, or of what they come from."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tracekeeper_sidecar.process.build import Means
from tracekeeper_sidecar.process.step import Plain, Request
from tracekeeper_sidecar.wire.attributes import Changes
from tracekeeper_sidecar.wire.match import Matcher
from tracekeeper_sidecar.wire.varint import delimited, encode
from tracekeeper_spec.attributes import Attributes, PodField, Set, Target, ValueType
from tracekeeper_spec.attributes_checks import read_value
from tracekeeper_spec.condition import compile_condition
from tracekeeper_spec.processor import Processor


class AttributesStep(Plain):
    """One processor of type Attributes. Should it fail, spans go on as they were."""

    def __init__(self, name: str, kind: str, attributes: Attributes, means: Means) -> None:
        """Raises ConditionError for a condition that the policy's checks would not pass."""
        super().__init__(name, kind)
        self._sets = attributes.set
        self.wants = frozenset(each.from_context for each in self._sets if each.from_context is not None)
        self._changes = Changes(
            [
                *((move.from_, move.to, False) for move in attributes.copy),
                *((move.from_, move.to, True) for move in attributes.rename),
            ],
            attributes.delete,
            [(each.key, each.if_missing) for each in self._sets],
            Matcher(compile_condition(attributes.match)) if attributes.match else None,
            attributes.target is Target.RESOURCE,
        )
        self._fixed = tuple(_pair(each.key, _fixed(each, means)) for each in self._sets)

    def run(self, request: Request) -> None:
        """Change the attributes."""
        values = self._with_context(request.context) if self.wants else self._fixed
        request.body, _ = self._changes.run(request.body, values)

    def _with_context(self, context: Mapping[str, str]) -> tuple[bytes, ...]:
        return tuple(
            fixed if each.from_context is None else _pair(each.key, _text(context.get(each.from_context, "")))
            for each, fixed in zip(self._sets, self._fixed, strict=True)
        )


def make(processor: Processor, means: Means) -> AttributesStep:
    """The step for a processor of type Attributes. Raises ConditionError."""
    assert processor.attributes is not None
    return AttributesStep(processor.name, str(processor.type), processor.attributes, means)


def _fixed(each: Set, means: Means) -> bytes:
    """The AnyValue that does not change from request to request; empty where it is not known."""
    if each.value is not None:
        value = read_value(each.value_type, each.value)
        return _text(each.value, known=True) if each.value_type is ValueType.TEXT else _number(value)
    if each.from_pod is not None:
        return _text(_of_pod(each.from_pod, means))
    if each.from_label is not None:
        return _text(means.labels.get(each.from_label, ""))
    if each.from_annotation is not None:
        return _text(means.annotations.get(each.from_annotation, ""))
    return b""


def _of_pod(field: PodField, means: Means) -> str:
    match field:
        case PodField.NAME:
            return means.pod.name
        case PodField.NAMESPACE:
            return means.pod.namespace
        case PodField.UID:
            return means.pod.uid
        case PodField.NODE:
            return means.facts.get("node", "")
        case PodField.SERVICE_ACCOUNT:
            return means.facts.get("service-account", "")


def _text(text: str, *, known: bool = False) -> bytes:
    """A text as AnyValue; an empty one is not known, unless somebody wrote it."""
    return delimited(1, text.encode(errors="replace")) if text or known else b""


def _number(value: str | int | float | bool | None) -> bytes:
    """A truth or number as AnyValue."""
    match value:
        case bool():  # Before int, of which it is a kind.
            return encode(2 << 3) + encode(value)
        case int():
            return encode(3 << 3) + encode(value & 0xFFFFFFFFFFFFFFFF)
        case float():
            return encode(4 << 3 | 1) + struct.pack("<d", value)
        case _:
            return b""


def _pair(key: str, value: bytes) -> bytes:
    """The KeyValue; empty without a value."""
    return delimited(1, key.encode()) + delimited(2, value) if value else b""
