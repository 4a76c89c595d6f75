"""The schema of `processors[].attributes`."""

from __future__ import annotations

from tracekeeper_spec import attributes_checks as checks
from tracekeeper_spec.attributes import Move, PodField, Target, ValueType
from tracekeeper_spec.schema import Boolean, Check, Choice, Condition, Field, ListOf, Object, Text
from tracekeeper_spec.texts import LABEL_KEY

KEY = Text(256, expects="the key of an attribute")
HEADER = Text(128, r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", "the name of a header")

SET = Object(
    checks.make_set,
    (
        Field("key", KEY, "The attribute. It is overwritten where it is there already.", required=True),
        Field("value", Text(4096, min_length=0), "Its value."),
        Field("valueType", Choice(ValueType), "What `value` means.", default="Text"),
        Field(
            "fromPod",
            Choice(PodField),
            "Instead of `value`: the pod's own name, namespace, UID, node or service account.",
        ),
        Field("fromLabel", LABEL_KEY, "Instead of `value`: that of this label of the pod."),
        Field("fromAnnotation", LABEL_KEY, "Instead of `value`: that of this annotation of the pod."),
        Field(
            "fromContext",
            HEADER,
            "Instead of `value`: that of this header, in any case, or this key of gRPC's metadata, of the request that "
            "brought the spans. Where a value is not known, the attribute is left as it is.",
        ),
        Field("ifMissing", Boolean(), "Whether one that is there already stays as it is.", default=False),
    ),
    checks=(
        Check(
            checks.one_source,
            f"[{', '.join(f'has(self.{name})' for name in checks.SOURCES)}].filter(each, each).size() == 1",
            f"exactly one of {', '.join(checks.SOURCES)} must be there",
        ),
        Check(checks.value_suits_type),
        Check(checks.header_is_no_secret),
    ),
)

MOVE = Object(
    Move,
    (
        Field("from", KEY, "The attribute that is read. Where it is not there, nothing happens.", required=True),
        Field("to", KEY, "The attribute that gets its value. It is overwritten.", required=True),
    ),
)

ATTRIBUTES = Object(
    checks.make_attributes,
    (
        Field(
            "target",
            Choice(Target),
            "Whose attributes: each span's, or those of what the spans come from.",
            default="Span",
        ),
        Field("match", Condition(), "Which of them. With `target: Resource` it can speak of `resource` alone."),
        Field("copy", ListOf(MOVE, 16), "Attributes whose values others get, too.", default=[]),
        Field("rename", ListOf(MOVE, 16), "Attributes that get other keys.", default=[]),
        Field("delete", ListOf(KEY, 64), "Attributes that go.", default=[]),
        Field(
            "set",
            ListOf(SET, 32),
            "Attributes that get a value, after all the others have been seen to.",
            default=[],
        ),
    ),
    checks=(
        Check(checks.does_something),
        Check(checks.keys_are_clear),
        Check(checks.match_suits_target),
    ),
)
