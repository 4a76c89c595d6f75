"""The schema of `processors[].filter`."""

from __future__ import annotations

from tracekeeper_spec.filter import Filter
from tracekeeper_spec.schema import Object

FILTER = Object(Filter, ())
