"""The schema of `processors[].custom`."""

from __future__ import annotations

from tracekeeper_spec.custom import Custom
from tracekeeper_spec.schema import Object

CUSTOM = Object(Custom, ())
