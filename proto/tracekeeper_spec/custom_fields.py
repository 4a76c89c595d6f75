"""The schema of `processors[].custom`."""

from __future__ import annotations

from tracekeeper_spec.custom import GROUP, Custom, OnError
from tracekeeper_spec.schema import Choice, Duration, Field, Free, Object, Size, Text

ENTRY_POINT = Text(
    128,
    r"^[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_])?$",
    "the name of an entry point: letters, digits, dashes, underscores and dots",
)

CUSTOM = Object(
    Custom,
    (
        Field(
            "entryPoint",
            ENTRY_POINT,
            f"Name of the class among the entry points `{GROUP}` of the packages that are installed in the sidecar's "
            "image.",
            required=True,
        ),
        Field("config", Free(max_bytes=16384, max_depth=16), "Given to the class as it is.", default={}),
        Field(
            "onError",
            Choice(OnError),
            "What becomes of the spans of a request that the class raises on, or that takes longer than `timeout`. "
            "`Bypass` has them go on as they were, `Refuse` does not take them, which the application is told.",
            default="Bypass",
        ),
        Field(
            "timeout",
            Duration("10ms", "3s"),
            "How long a request may take; after that the process of the step is killed and started anew.",
            default="1s",
        ),
        Field(
            "memory",
            Size("32Mi", "8Gi"),
            "What the process of the step may have. It is part of `sidecar.resources.limits.memory`.",
            default="128Mi",
        ),
    ),
)
