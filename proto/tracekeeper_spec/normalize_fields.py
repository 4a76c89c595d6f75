"""The schema of `processors[].normalize`."""

from __future__ import annotations

from tracekeeper_spec.normalize import DialectName, Normalize
from tracekeeper_spec.schema import Boolean, Choice, Field, ListOf, Object

NORMALIZE = Object(
    Normalize,
    (
        Field(
            "dialects",
            ListOf(Choice(DialectName), len(DialectName)),
            "Dialects that are translated; spans of others stay as they come.",
            default=[],
            default_note="all",
        ),
        Field(
            "keepOriginals",
            Boolean(),
            "Whether attributes that were translated stay under their own names, too. Without them spans are about as "
            "large as they came, and whoever reads the dialect alone finds less.",
            default=True,
        ),
        Field(
            "messages",
            Boolean(),
            "Whether prompts and answers are translated, too. Every message is stored twice then, unless "
            "`keepOriginals` is false.",
            default=True,
        ),
    ),
)
